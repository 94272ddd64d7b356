# Each target makes what it needs: from a clone alone, `make test` and `make demo` end well.
# Set-up needs the network once. Its output goes to stderr, so that stdout carries nothing but a job's result.

PYTHON ?= python3
SCALE ?= 1
SEED ?= 0
demo: OUT ?= build/demo
higgs candidates: OUT ?= build/higgs
higgs candidates bench-retrieval: export TWHIN_DATA_HOME ?= ../shared/data

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
JARS := $(VENV)/.jars
SUITE := -n 2 --dist loadfile --durations 15  # a file of tests stays in one process, and with it what its tests share
DELTA_JARS := delta-spark_4.2_2.13 delta-storage
DELTA_VERSION := 4.4.0
JRE := openjdk-17-jre-headless
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -n)

MAKEFLAGS += --no-print-directory
SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup java jars lint test test-all test-kills demo higgs candidates serve notebook bench bench-serving bench-retrieval bench-plan bench-scale quality quality-ablations docs clean
# The Spark of the virtual environment, whichever else the caller works with.
unexport SPARK_HOME SPARK_CONF_DIR PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON PYSPARK_SUBMIT_ARGS

help:  ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make bench-NAME runs one of bench's (bench-kernel-d128-500-500, bench-graph-build, ...)"
	@echo "  make quality-NAME SEED=number measures one of quality's sets (quality-fb15k-237)"
	@echo "  OUT=folder says where demo and higgs write, SCALE=factor how large the demo is, PYTHON=command which Python to use"

setup: $(JARS)  ## make the virtual environment, find or install Java, fetch Delta's jars

lint: $(INSTALLED)  ## check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy twhin_spark benchmarks

test: $(JARS)  ## run the tests, without the slow ones
	@$(BIN)/python -m pytest $(SUITE)

test-all: $(JARS)  ## run all tests
	@$(BIN)/python -m pytest $(SUITE) -m ""

test-kills: $(JARS)  ## kill a training 50 times at random moments, and compare its bits with those of one left alone
	@TWHIN_KILLS=50 $(BIN)/python -m pytest -m "" tests/training/test_kills.py

demo: $(JARS)  ## train on generated logs and show what came out
	@$(BIN)/twhin-spark demo --out "$(OUT)" --scale "$(SCALE)"

higgs: $(JARS)  ## train on the Higgs data set: real retweets, mentions and replies
	@$(BIN)/twhin-spark higgs --out "$(OUT)"

candidates: $(JARS)  ## find candidates in Higgs' vectors, trained first where there are none
	@[ -d "$(OUT)/tables/model_versions" ] || $(BIN)/twhin-spark higgs --out "$(OUT)" > /dev/null
	@$(BIN)/twhin-spark candidates --config conf/higgs.yaml --set output="$(OUT)"

serve: $(JARS)  ## serve the demo's vectors on http://127.0.0.1:8080
	@[ -d build/demo/tables/embeddings ] || $(MAKE) demo OUT=build/demo
	@$(BIN)/twhin-spark serve --config conf/demo.yaml --set output=build/demo

bench: $(JARS)  ## measure speed, beside PyTorch-BigGraph, and write docs/results/benchmarks.md
	@$(BIN)/python -m benchmarks all

bench-%: $(JARS)
	@$(BIN)/python -m benchmarks $*

notebook: $(JARS)  ## run the analysts' tour on the demo's tables: build/tour.html
	@[ -n "$$TWHIN_CONFIG" ] || [ -d build/demo/tables/embeddings ] || $(MAKE) demo OUT=build/demo
	@$(BIN)/jupyter nbconvert --execute --to html --output-dir build notebooks/tour.ipynb >&2

bench-serving: $(INSTALLED)  ## load the service with wrk: 1M vectors, peak rate, half of it, a version switch
	@$(BIN)/python -m benchmarks.serving

bench-retrieval: $(JARS)  ## measure exact, approximate and mixed candidates; write docs/results/retrieval.md
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[bench]' >&2
	@[ -d build/higgs/tables/model_versions ] || $(BIN)/twhin-spark higgs --out build/higgs > /dev/null
	@[ -d build/lastfm/tables/model_versions ] || $(BIN)/twhin-spark pipeline --config conf/lastfm.yaml > /dev/null
	@$(BIN)/python -m benchmarks.retrieval

bench-plan: $(JARS)  ## train three graphs; print what the plan predicted of each, and what was measured
	@$(BIN)/python -m benchmarks.plan

bench-scale: $(JARS)  ## train a model of five times a task's memory beside one that fits: 15 minutes, 10 GB of disk
	@$(BIN)/python -m benchmarks.scale

quality: $(JARS)  ## train and measure the sets with published numbers, each with seeds 0, 1 and 2
	@$(BIN)/python -m benchmarks.quality all --seed 0 --seed 1 --seed 2

quality-ablations: $(JARS)  ## measure what other settings and groups are worth, with seed 0
	@$(BIN)/python -m benchmarks.quality all --variants

quality-%: $(JARS)
	@$(BIN)/python -m benchmarks.quality $* --seed $(SEED)

docs: $(INSTALLED)  ## print the reference pages from the code
	@$(BIN)/python -m twhin_spark.config.reference > docs/config.md
	@$(BIN)/python -m twhin_spark.tables.reference > docs/tables.md

clean:  ## remove what runs left; the virtual environment stays
	@rm -rf build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find twhin_spark tests jobs -name __pycache__ -prune -exec rm -rf {} +

# pip and setuptools are pinned like everything else. With both at hand, installing once more needs no network.
$(INSTALLED): setup.cfg constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "twhin-spark: $(PYTHON) is not Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo "twhin-spark: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "twhin-spark: installing into $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV) >&2
	@$(BIN)/python -m pip install -qq --constraint constraints.txt pip setuptools >&2
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --no-build-isolation --editable '.[test,dev]' >&2
	@touch $@

java: $(INSTALLED)
	@$(BIN)/python -m twhin_spark.tables.java > /dev/null 2>&1 || { \
		command -v apt-get > /dev/null && echo "twhin-spark: installing $(JRE)" >&2 && \
		$(SUDO) apt-get update -qq >&2 && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(JRE) >&2; } || true
	@$(BIN)/python -m twhin_spark.tables.java > /dev/null

# Spark carries Ivy, which knows where Maven's artifacts are. Not transitive: Delta's other dependencies are older
# versions of what Spark already has. Beside Spark's own jars, each way of starting Spark finds them.
$(JARS): $(INSTALLED) | java
	@echo "twhin-spark: fetching Delta's jars" >&2
	@java="$$($(BIN)/python -m twhin_spark.tables.java)/bin/java"; \
	jars="$$($(BIN)/python -c 'import pyspark; print(pyspark.__path__[0])')/jars"; \
	for jar in $(DELTA_JARS); do \
		"$$java" -cp "$$jars/*" org.apache.ivy.Main -warn -cache "$(CURDIR)/$(VENV)/ivy" -notransitive -confs default \
			-dependency io.delta $$jar $(DELTA_VERSION) -types jar \
			-retrieve "$$jars/[artifact]-[revision].[ext]" -overwriteMode always > $(VENV)/ivy.log 2>&1 || { \
			cat $(VENV)/ivy.log >&2; \
			echo "twhin-spark: could not fetch io.delta:$$jar:$(DELTA_VERSION); Ivy's reason is above" >&2; exit 1; }; \
	done
	@touch $@
