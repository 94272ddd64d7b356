"""Each failure of Spark, Delta, a worker or the system is one line that says what happened, and where."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from py4j.protocol import Py4JNetworkError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from twhin_spark.errors import ConfigError
from twhin_spark.tables.error_causes import cause_line, exit_code, start_failure

NEVER = ("An error occurred while calling", "Job aborted", "SQLSTATE", "\n", "Traceback", "org.apache.spark")


def cause_of(job: Callable[[], object], folders: tuple[str, ...] = ()) -> tuple[str, int]:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        job()
    line = cause_line(raised.value, folders)
    assert not any(text in line for text in NEVER), line
    assert not line.endswith(":")
    return line, exit_code(raised.value)


def on_a_worker(spark: SparkSession, fail: Callable[[], object]) -> Callable[[], object]:
    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            fail()
            yield batch

    return lambda: spark.range(3).mapInArrow(run, "id long").collect()


def bad_value() -> None:
    raise ValueError("this row is bad")


def no_memory() -> None:
    raise MemoryError


def own_error() -> None:
    from twhin_spark.errors import InputError

    raise InputError("state file p00001 is corrupt; train again")


def no_module() -> None:
    import no_such_module  # type: ignore[import-not-found]  # noqa: F401


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("fail", "line", "code"),
    [
        (bad_value, "ValueError: this row is bad", 1),
        (no_memory, "a Python worker has no memory left", 1),
        (own_error, "state file p00001 is corrupt; train again", 2),
        (no_module, r"the workers' Python, \S+python\S*, has no module 'no_such_module'", 1),
        (killed, "a Python worker crashed or was killed, as the system does when memory is used up", 1),
    ],
)
def test_a_failure_on_a_worker(spark: SparkSession, fail: Callable[[], object], line: str, code: int) -> None:
    found = cause_of(on_a_worker(spark, fail))
    assert re.match(line, found[0]), found
    assert found[1] == code


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("SELECT raise_error('raised by Spark')", "raised by Spark"),
        ("SELECT no_such", "A column, variable, or function parameter with name `no_such` cannot be resolved"),
        ("SELEC 1", "Syntax error at or near 'SELEC'"),
        ("SELECT to_timestamp('x', 'QQ wrong')", r"You may get a different result .* >= 3.0: All week-based patterns"),
        ("SELECT * FROM parquet.`/no/such/folder`", "Path does not exist: file:/no/such/folder"),
        ("SELECT * FROM delta.`/no/such/table`", "Path does not exist: /no/such/table"),
    ],
)
def test_a_failure_of_a_query(spark: SparkSession, query: str, line: str) -> None:
    found, _ = cause_of(lambda: spark.sql(query).collect())
    assert re.match(line, found), found


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda file: file.unlink(), r"File file:\S+\.parquet does not exist"),
        (lambda file: os.truncate(file, 100), r"Checksum error: file:\S+\.parquet"),
    ],
)
def test_a_damaged_table_names_the_file(
    spark: SparkSession, scratch: Path, damage: Callable[[Path], object], line: str
) -> None:
    spark.range(1000).repartition(2).write.format("delta").save(str(scratch / "table"))
    for file in (scratch / "table").glob("*.parquet"):
        damage(file)
    found, _ = cause_of(lambda: spark.read.format("delta").load(str(scratch / "table")).distinct().collect())
    assert re.match(line, found), found


def test_a_full_disk_names_the_folder(spark: SparkSession, scratch: Path) -> None:
    disk = scratch / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        rows = spark.range(200_000).selectExpr("uuid() AS text")
        line, _ = cause_of(lambda: rows.write.format("delta").save(str(disk / "table")), (str(scratch), str(disk)))
        assert line == f"No space left on device: {disk / 'table'}"
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_folder_that_cannot_be_made_names_it(spark: SparkSession, scratch: Path) -> None:
    (scratch / "file").touch()
    line, _ = cause_of(lambda: spark.range(1).write.format("delta").save(str(scratch / "file" / "table")))
    assert str(scratch / "file") in line


def test_failures_of_python_itself() -> None:
    assert cause_line(KeyError("name")) == "KeyError: 'name'"
    assert cause_line(OSError(28, "No space left on device", "/disk/file")) == "No space left on device: /disk/file"
    assert cause_line(ConfigError("training.dim: is 0")) == "training.dim: is 0"
    assert cause_line(Py4JNetworkError("Answer from Java side is empty")).startswith("Spark's JVM has ended")
    lost = RuntimeError("Job aborted: ExecutorLostFailure (executor 3 exited) Reason: Killed by YARN. \n more")
    assert cause_line(lost) == "an executor was lost: Killed by YARN"
    stage = "ResultStage 67 has failed the maximum allowable number of times: 4. Most recent failure reason:\n"
    fetch = RuntimeError(f"{stage}org.apache.spark.shuffle.MetadataFetchFailedException: Missing an output location")
    assert cause_line(fetch).startswith("executors were lost 4 times, with the shuffle files of a stage")
    assert cause_line(RuntimeError("caf\udce9 \x00\x01 is bad")) == "RuntimeError: caf? ? is bad"


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            "WARNING: Using incubator\nError: Could not find main class X\n",
            "Could not find main class X",
        ),
        ('Exception in thread "main" java.lang.IllegalArgumentException: no disk\n\tat a.b', "no disk"),
        (
            "Unrecognized VM option 'UseX'\nError: Could not create the JVM.\n",
            "Unrecognized VM option 'UseX'",
        ),
        ("Error occurred during initialization of VM\nToo small maximum heap\n", "Too small maximum heap"),
        ("", "it printed nothing"),
    ],
)
def test_a_jvm_that_does_not_start(log: str, line: str) -> None:
    assert start_failure(log) == line
