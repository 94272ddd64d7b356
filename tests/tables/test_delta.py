"""Writes are known by their commits' versions."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import REJECTED_EVENTS, ROW_COUNTS, ddl


def test_replacing_nothing_by_nothing_is_a_commit(spark: SparkSession, tmp_path: Path) -> None:
    store = TableStore(spark, str(tmp_path))
    nothing = spark.createDataFrame([], ddl(REJECTED_EVENTS))
    first = store.overwrite(REJECTED_EVENTS, nothing)
    for _ in range(3):  # so that the session's last version is not this table's
        store.overwrite(ROW_COUNTS, spark.createDataFrame([(None, "read", None, 1)], ddl(ROW_COUNTS)))
    second = store.overwrite(REJECTED_EVENTS, nothing)
    assert second == first + 1 == store.version(REJECTED_EVENTS)
