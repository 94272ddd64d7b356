"""Imports are lazy: help and a wrong config answer without loading what only jobs need."""

from __future__ import annotations

import subprocess
import sys

import pytest

SPARK = ("pyspark", "py4j", "delta")
SLOW = (*SPARK, "pandas", "numpy", "scipy", "pyarrow", "matplotlib", "faiss", "deltalake", "fastapi")
BEGIN = "import atexit, sys; before = set(sys.modules); "
REPORT = "atexit.register(lambda: print(*(set(sys.modules) - before), file=sys.__stdout__)); "
MAIN = "from twhin_spark.cli.commands import main; main()"


def loaded_by(code: str, *arguments: str) -> set[str]:
    """Run Python code in a process of its own; return the packages that it has loaded at its end."""
    command = [sys.executable, "-c", BEGIN + REPORT + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {module.partition(".")[0] for module in done.stdout.splitlines()[-1].split()}


def test_the_package_loads_the_standard_library_alone() -> None:
    assert loaded_by("import twhin_spark") <= {*sys.stdlib_module_names, "twhin_spark"}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("train", "--help"), ("train",)])
def test_help_and_usage_errors_load_click_alone(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(MAIN, *arguments)
    assert "click" in loaded
    assert not loaded & {*SLOW, "pydantic", "yaml", "rich"}


@pytest.mark.parametrize(
    "job", ["build-graph", "train", "pipeline", "candidates", "communities", "plan", "serve", "describe", "demo"]
)
def test_a_wrong_config_loads_pydantic_and_yaml_besides(job: str) -> None:
    arguments = ("user", "u1") if job == "describe" else ()
    loaded = loaded_by(MAIN, job, "--config", "conf/demo.yaml", "--set", "training.dim=0", *arguments)
    assert {"pydantic", "yaml"} <= loaded
    assert not loaded & {*SLOW, "rich"}
