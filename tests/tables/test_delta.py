"""TableStore: versions, replacement of a part, appends that happen once, constraints, and the shape of a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from chispa import assert_df_equality
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import METRICS, REJECTED_EVENTS, ROW_COUNTS, Column, Table, ddl

COUNTS = Table(
    "counts", "Counts by log.", (Column("log", "STRING", "name of the log"), Column("rows", "BIGINT", "number of rows"))
)


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> TableStore:
    return TableStore(spark, f"{tmp_path}/")


def _rows(store: TableStore, *rows: tuple[str, int]) -> DataFrame:
    return store.spark.createDataFrame(list(rows), ddl(COUNTS))


def _read(store: TableStore, version: int | None = None) -> list[tuple[str, int]]:
    return sorted(tuple(row) for row in store.read(COUNTS, version).collect())


def test_a_table_that_was_never_written_has_no_version(store: TableStore) -> None:
    assert not store.exists(COUNTS)
    assert store.version(COUNTS) is None
    assert store.constraint(COUNTS, "some") is None
    with pytest.raises(AnalysisException):
        store.read(COUNTS).collect()


def test_every_write_is_a_version_that_stays_readable(store: TableStore) -> None:
    versions = [
        store.overwrite(COUNTS, _rows(store, ("a", 1)), user_metadata="first"),
        store.append(COUNTS, _rows(store, ("b", 2))),
        store.overwrite(COUNTS, _rows(store, ("c", 3))),
    ]
    assert versions == [0, 1, 2]
    assert store.version(COUNTS) == 2
    assert [_read(store, version) for version in versions] == [[("a", 1)], [("a", 1), ("b", 2)], [("c", 3)]]
    assert_df_equality(store.read(COUNTS), store.read(COUNTS, 2))
    assert store.history(COUNTS).where("version = 0").first()["userMetadata"] == "first"  # type: ignore[index]


def test_replacing_a_part_leaves_the_rest(store: TableStore) -> None:
    store.overwrite(COUNTS, _rows(store, ("a", 1), ("b", 2)), where="log = 'a'")  # the table is made
    store.overwrite(COUNTS, _rows(store, ("a", 5), ("a", 6)), where="log = 'a'")
    assert _read(store) == [("a", 5), ("a", 6), ("b", 2)]
    with pytest.raises(AnalysisException, match=r"(?i)replace_?where"):  # rows outside the part that is replaced
        store.overwrite(COUNTS, _rows(store, ("c", 7)), where="log = 'a'")
    assert _read(store) == [("a", 5), ("a", 6), ("b", 2)]


def test_replacing_nothing_by_nothing_is_a_commit(store: TableStore) -> None:
    nothing = store.spark.createDataFrame([], ddl(REJECTED_EVENTS))
    first = store.overwrite(REJECTED_EVENTS, nothing)
    for _ in range(3):  # so that the session's last version is not this table's
        store.overwrite(ROW_COUNTS, store.spark.createDataFrame([(None, "read", None, 1)], ddl(ROW_COUNTS)))
    second = store.overwrite(REJECTED_EVENTS, nothing)
    assert second == first + 1 == store.version(REJECTED_EVENTS)


def test_an_append_of_a_series_happens_once(store: TableStore) -> None:
    for number, log in [(1, "a"), (1, "again"), (3, "b"), (2, "late")]:
        store.append_once(COUNTS, _rows(store, (log, number)), series="s", number=number)
    store.append_once(COUNTS, _rows(store, ("other", 1)), series="t", number=1)
    assert _read(store) == [("a", 1), ("b", 3), ("other", 1)]


def test_a_constraint_refuses_rows_until_it_is_dropped(store: TableStore) -> None:
    store.overwrite(COUNTS, _rows(store, ("a", 1)))
    store.require(COUNTS, "positive", "rows > 0")
    assert store.constraint(COUNTS, "positive") == "rows>0"
    with pytest.raises(Py4JJavaError, match=r"(?i)constraint positive"):
        store.append(COUNTS, _rows(store, ("b", -1)))
    assert _read(store) == [("a", 1)]
    store.release(COUNTS, "positive")
    store.append(COUNTS, _rows(store, ("b", -1)))
    assert store.constraint(COUNTS, "positive") is None


def test_rows_take_the_columns_types_and_comments_of_their_table(store: TableStore) -> None:
    rows = store.spark.createDataFrame([(1, "a", True)], "rows INT, log STRING, more BOOLEAN")
    store.overwrite(COUNTS, rows)
    fields = store.read(COUNTS).schema.fields
    assert [(field.name, field.dataType.simpleString()) for field in fields] == [("log", "string"), ("rows", "bigint")]
    assert [field.metadata["comment"] for field in fields] == ["name of the log", "number of rows"]
    with pytest.raises(AnalysisException, match="rows"):
        store.append(COUNTS, rows.drop("rows"))


def test_an_older_table_gets_the_columns_that_it_lacks(store: TableStore) -> None:
    store.overwrite(Table(COUNTS.name, "", COUNTS.columns[:1]), _rows(store, ("a", 1)))
    store.append(COUNTS, _rows(store, ("b", 2)))
    assert store.read(COUNTS).orderBy("log").collect() == [("a", None), ("b", 2)]


def test_a_path_is_absolute_and_a_uri_stays(spark: SparkSession) -> None:
    assert TableStore(spark, "out/").path(METRICS) == str(Path("out/tables/metrics").absolute())
    assert TableStore(spark, "s3://bucket/out/").path(METRICS) == "s3://bucket/out/tables/metrics"
