"""What is said of workers that cannot run a job. tests/test_faults.py has such workers on a standalone cluster."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from twhin_spark import __version__
from twhin_spark.tables.cpu import cpu_name
from twhin_spark.tables.environment import WORKER_PACKAGES
from twhin_spark.tables.preflight import WorkerFacts, check_workers
from twhin_spark.tables.write_probe import write_problem

VERSIONS = {**{name: ".".join(map(str, least)) for name, least in WORKER_PACKAGES.items()}, "twhin_spark": __version__}
PYTHON = ".".join(map(str, sys.version_info[:2]))
FINE = WorkerFacts("w1", PYTHON, "/usr/bin/python3", VERSIONS, "AMD EPYC", None)


def _without(name: str) -> dict[str, str]:
    return {package: version for package, version in VERSIONS.items() if package != name}


@pytest.mark.parametrize(
    ("worker", "says"),
    [
        (replace(FINE, python="2.7"), "its Python is 2.7"),
        (replace(FINE, versions=_without("scipy")), "does not have scipy"),
        (replace(FINE, versions={**VERSIONS, "numpy": "1.26.4"}), "it has numpy 1.26.4, but 2.0 or later is required"),
        (replace(FINE, versions=_without("twhin_spark")), "add --py-files twhin_spark.zip"),
        (replace(FINE, versions={**VERSIONS, "twhin_spark": "0.0.1"}), "it has twhin_spark 0.0.1, but the driver has"),
        (replace(FINE, problem="it cannot write to s3://lake"), "it cannot write to s3://lake"),
    ],
)
def test_a_fault_says_what_was_found_and_what_to_do(worker: WorkerFacts, says: str) -> None:
    fault = worker.fault()
    assert fault is not None
    assert says in fault


def test_what_is_fine_has_no_fault() -> None:
    assert FINE.fault() is None
    assert replace(FINE, versions={**VERSIONS, "numpy": "2.4.0rc1", "pandas": "2.3"}).fault() is None


def test_workers_of_a_local_session_are_the_driver(spark: SparkSession, tmp_path: Path) -> None:
    lines: list[str] = []
    assert check_workers(spark, str(tmp_path), lines.append) == [cpu_name()]
    assert lines == []


def test_an_output_is_written_and_left_as_it_was(tmp_path: Path) -> None:
    assert write_problem(str(tmp_path / "new")) is None
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    problem = write_problem(str(tmp_path / "file"))
    assert problem is not None
    assert problem.startswith(f"it cannot write to {tmp_path}/file: ")
    assert "unknown://x" in str(write_problem("unknown://x"))
