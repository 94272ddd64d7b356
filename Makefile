# Every target first makes what it needs, so `make test` and `make demo` work in a fresh clone.
# Set-up needs the network once. It prints to stderr: stdout carries only a job's result.

PYTHON ?= python3
SCALE ?= 1
SEED ?= 0
demo: OUT ?= build/demo
higgs candidates: OUT ?= build/higgs
higgs candidates bench-retrieval bench-communities bench-daily bench-fold-in: export TWHIN_DATA_HOME ?= ../shared/data

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
JARS := $(VENV)/.jars
# A file of tests stays in one process, which keeps what its tests share.
SUITE := -n 2 --dist loadfile --no-loadscope-reorder --durations 15
JRE := openjdk-17-jre-headless
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -n)
CONFIGS := $(addprefix twhin_spark/cli/demo/,demo.yaml higgs.yaml)

MAKEFLAGS += --no-print-directory
SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help fuzz setup java lint test test-all test-kills package demo higgs candidates serve notebook bench bench-serving bench-retrieval bench-communities bench-daily bench-fold-in bench-plan bench-scale bench-scaling quality quality-ablations docs site clean
# Targets use the Spark of the virtual environment, even if the caller's shell points to another.
unexport SPARK_HOME SPARK_CONF_DIR PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON PYSPARK_SUBMIT_ARGS

help:  ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make bench-NAME        run one benchmark (bench-kernel-d128-500-500, bench-graph-build, ...)"
	@echo "  make quality-NAME      measure one data set with SEED (quality-fb15k-237)"
	@echo
	@echo "  OUT=folder             output of demo and higgs [build/demo, build/higgs]"
	@echo "  SCALE=number           size of the demo's logs: 1 is a million events [1]"
	@echo "  SEED=number            seed of quality-NAME [0]"
	@echo "  PYTHON=command         Python of the virtual environment, 3.11 or newer [python3]"

setup: $(JARS)  ## create the virtual environment, find or install Java, fetch Delta's jars

lint: $(INSTALLED)  ## check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy twhin_spark benchmarks

test: $(JARS)  ## run the tests, except the slow ones
	@$(BIN)/python -m pytest $(SUITE)

test-all: $(JARS)  ## run all tests
	@$(BIN)/python -m pytest $(SUITE) -m ""

test-kills: $(JARS)  ## kill a training 50 times at random moments and compare its bits with an undisturbed one's
	@TWHIN_KILLS=50 $(BIN)/python -m pytest -m "" tests/training/test_kills.py

demo: $(JARS)  ## train on generated logs and show what the model has learned
	@$(BIN)/twhin-spark demo --out "$(OUT)" --scale "$(SCALE)"

higgs: $(JARS)  ## train on the Higgs data set: real retweets, mentions and replies
	@$(BIN)/twhin-spark higgs --out "$(OUT)"

candidates: $(JARS)  ## find candidates in the Higgs model's vectors; trains the model first if there is none
	@[ -d "$(OUT)/tables/model_versions" ] || $(BIN)/twhin-spark higgs --out "$(OUT)" > /dev/null
	@$(BIN)/twhin-spark candidates --config conf/higgs.yaml --set output="$(OUT)"

serve: $(JARS)  ## serve the demo's vectors on http://127.0.0.1:8080; runs the demo first if there are none
	@[ -d build/demo/tables/embeddings ] || $(MAKE) demo OUT=build/demo
	@$(BIN)/twhin-spark serve --config conf/demo.yaml --set output=build/demo

bench: $(JARS)  ## measure speed, compare with PyTorch-BigGraph, write docs/results/benchmarks.md
	@$(BIN)/python -m benchmarks all

bench-%: $(JARS)
	@$(BIN)/python -m benchmarks $*

notebook: $(JARS)  ## run the analysts' notebook on the demo's tables: build/tour.html
	@[ -n "$$TWHIN_CONFIG" ] || [ -d build/demo/tables/embeddings ] || $(MAKE) demo OUT=build/demo
	@$(BIN)/jupyter nbconvert --execute --to html --output-dir build notebooks/tour.ipynb >&2

bench-serving: $(INSTALLED)  ## load the service with wrk: a million vectors, peak rate, half of it, a version switch
	@$(BIN)/python -m benchmarks.serving

bench-retrieval: $(JARS)  ## measure exact, approximate and mixture candidates; write docs/results/retrieval.md
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[bench]' >&2
	@[ -d build/higgs/tables/model_versions ] || $(BIN)/twhin-spark higgs --out build/higgs > /dev/null
	@[ -d build/lastfm/tables/model_versions ] || $(BIN)/twhin-spark pipeline --config conf/lastfm.yaml > /dev/null
	@$(BIN)/python -m benchmarks.retrieval

bench-communities: $(JARS)  ## measure communities beside Leiden, and candidates by them; write docs/results/communities.md
	@$(BIN)/python -m benchmarks.communities

fuzz: $(JARS)  ## read a thousand logs with random faults: is every row accounted for, and every id one that was written
	@$(BIN)/python -m benchmarks.fuzz

bench-plan: $(JARS)  ## train three graphs; print each plan's forecast beside the measurement
	@$(BIN)/python -m benchmarks.plan

bench-daily: $(INSTALLED)  ## retrain two logs day by day in six ways, three seeds each: hours; write docs/results/daily.md
	@$(BIN)/python -m benchmarks.daily

bench-fold-in: $(INSTALLED)  ## hold out 5% of the sources, fold them in, and compare with training them
	@$(BIN)/python -m benchmarks.daily.fold_in

bench-scale: $(JARS)  ## train a model of five times a task's memory, and one that fits: 15 minutes, 10 GB of disk
	@$(BIN)/python -m benchmarks.scale

bench-scaling: $(JARS)  ## measure trainings of up to 100M edges, simulate clusters: two hours, 20 GB of disk; then prints
	@$(BIN)/python -m benchmarks.scaling

quality: $(JARS)  ## train and measure the data sets with published results, each with seeds 0, 1 and 2
	@$(BIN)/python -m benchmarks.quality all --seed 0 --seed 1 --seed 2

quality-ablations: $(JARS)  ## measure the effect of single settings and of groups, with seed 0
	@$(BIN)/python -m benchmarks.quality all --variants

quality-%: $(JARS)
	@$(BIN)/python -m benchmarks.quality $* --seed $(SEED)

docs: $(INSTALLED)  ## write the reference pages from the code
	@$(BIN)/python -m twhin_spark.config.reference > docs/config.md
	@$(BIN)/python -m twhin_spark.tables.reference > docs/tables.md

# Material announces the end of mkdocs on every build.
site: $(INSTALLED)  ## build the documentation, without the network: build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package: $(INSTALLED) $(CONFIGS)  ## build the wheel and the source archive: dist/
	@rm -rf dist build/lib && mkdir -p build
	@$(BIN)/python -c 'from setuptools.build_meta import *; build_wheel("dist"); build_sdist("dist")' > build/package.log
	@ls dist/*

# `twhin-spark demo` and `higgs` find their configs in the package. The data's folder is left to TWHIN_DATA_HOME.
twhin_spark/cli/demo/%.yaml: conf/%.yaml
	@sed 's#\.\./shared/data/##' $< > $@

clean:  ## remove what runs and builds have written, but not the virtual environment
	@rm -rf build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find twhin_spark tests jobs -name __pycache__ -prune -exec rm -rf {} +

# The exact versions of constraints.txt, pip and setuptools included: with these installed, installing the package again
# needs no network.
$(INSTALLED): setup.cfg constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "twhin-spark: $(PYTHON) is not Python 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo "twhin-spark: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "twhin-spark: installing into $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV) >&2
	@$(BIN)/python -m pip install -qq --constraint constraints.txt pip setuptools >&2
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --no-build-isolation --editable '.[test,dev,docs]' >&2
	@touch $@

java: $(INSTALLED)
	@$(BIN)/python -m twhin_spark.tables.java > /dev/null 2>&1 || { \
		command -v apt-get > /dev/null && echo "twhin-spark: installing $(JRE)" >&2 && \
		$(SUDO) apt-get update -qq >&2 && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(JRE) >&2; } || true
	@$(BIN)/python -m twhin_spark.tables.java > /dev/null

$(JARS): $(INSTALLED) | java
	@$(BIN)/twhin-spark setup
	@touch $@
