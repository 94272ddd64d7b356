from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from twhin_spark.errors import TwhinError
from twhin_spark.tables import session

_FAILING_JOB = """
import sys
from pathlib import Path
from twhin_spark.tables.session import open_session

def fail(batches):
    raise ValueError("this row is bad")
    yield

small = {"spark.master": "local[1]", "spark.driver.memory": "1g"}
spark = open_session("failing job", verbose=sys.argv[1] == "verbose", log_file=Path("job.log"), extra=small)
for frame in (
    lambda: spark.range(3).mapInArrow(fail, "id long").collect(),
    lambda: spark.range(3).select("no_such_column"),
    lambda: spark.sql("SELECT raise_error('raised by Spark')").collect(),
):
    try:
        frame()
    except Exception as error:
        print(type(error).__name__)
"""


def run_failing_job(folder: Path, loudness: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _FAILING_JOB, loudness], cwd=folder, capture_output=True, text=True, check=True
    )


def test_a_quiet_session_leaves_stderr_to_the_job_and_the_log_to_its_file(scratch: Path) -> None:
    job = run_failing_job(scratch, "quiet")
    assert job.stderr == ""
    assert job.stdout.split() == ["PythonException", "AnalysisException", "SparkRuntimeException"]
    log = (scratch / "job.log").read_text()
    assert "ValueError: this row is bad" in log
    assert "raised by Spark" in log
    assert [file.name for file in scratch.iterdir()] == ["job.log"]


@pytest.mark.slow
def test_a_verbose_session_writes_to_stderr_and_never_to_stdout(scratch: Path) -> None:
    job = run_failing_job(scratch, "verbose")
    assert "ValueError: this row is bad" in job.stderr
    assert job.stdout.split() == ["PythonException", "AnalysisException", "SparkRuntimeException"]
    assert not (scratch / "job.log").exists()


def test_times_are_utc_and_a_bad_field_is_null(spark: SparkSession) -> None:
    row = spark.sql("SELECT string(timestamp_seconds(0)) AS time, int('seven') AS number").first()
    assert row is not None
    assert (row.time, row.number) == ("1970-01-01 00:00:00", None)


def test_workers_run_this_python_and_one_blas_thread(spark: SparkSession) -> None:
    def tell(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict(
                {"python": [sys.executable], "threads": [os.environ["OPENBLAS_NUM_THREADS"]]}
            )

    workers = spark.range(1, numPartitions=1).mapInArrow(tell, "python string, threads string").collect()
    assert workers == [(sys.executable, "1")]


def test_a_delta_table_keeps_its_versions(spark: SparkSession, scratch: Path) -> None:
    table = str(scratch / "table")
    for rows in (1, 2):
        spark.range(rows).write.format("delta").mode("overwrite").save(table)
    versions = [spark.read.format("delta").option("versionAsOf", v).load(table).count() for v in (0, 1)]
    assert versions == [1, 2]


def test_extra_properties_are_the_strongest(spark: SparkSession) -> None:
    assert spark.sparkContext.master == "local[2]"  # of conftest, against local[*] of the packaged spark-defaults
    assert spark.conf.get("spark.databricks.delta.snapshotPartitions") == "2"


def test_without_deltas_jars_the_session_stops_and_says_where_they_are(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_DELTA_EXTENSION", "io.delta.NoSuchClass")
    stopped: list[bool] = []
    without_delta = SimpleNamespace(_jvm=spark._jvm, stop=lambda: stopped.append(True))
    with pytest.raises(TwhinError, match=r"`twhin-spark setup`.*--packages io\.delta:delta-spark_4\.2_2\.13:4\.4\.0"):
        session._check_delta(without_delta)  # type: ignore[arg-type]
    assert stopped == [True]
