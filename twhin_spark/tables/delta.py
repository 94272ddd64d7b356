"""Reading and writing of the project's Delta tables. No other module knows Delta."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from delta.tables import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.locations import absolute
from twhin_spark.tables.schemas import Table

# Time travel reaches as far as the log and the files do. Delta's 30 and 7 days would end a model version's life early.
_PROPERTIES = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
    "delta.enableDeletionVectors": "false",  # readable by engines of the first reader protocol
    # Ids are spread over all files: their least and greatest would skip no file, and take half of a write's time.
    "delta.dataSkippingNumIndexedCols": "0",
}
_ATTEMPTS = 6  # of a write that other writers were faster than
# Errors of the second of two concurrent writers; the last two if both create the table.
_LOST_RACES = ("DELTA_CONCURRENT", "DELTA_PROTOCOL_CHANGED", "DELTA_METADATA_CHANGED")


class TableStore:
    """The tables of one output folder."""

    def __init__(self, spark: SparkSession, output: str) -> None:
        self.spark = spark
        self.output = output.rstrip("/")

    def path(self, table: Table) -> str:
        """Return the absolute path or URI of a table."""
        return absolute(f"{self.output}/tables/{table.name}")

    def exists(self, table: Table) -> bool:
        return DeltaTable.isDeltaTable(self.spark, self.path(table))

    def version(self, table: Table) -> int | None:
        """Return the number of the latest commit, or None if there is no table."""
        return self.version_at(self.path(table))

    def version_at(self, path: str) -> int | None:
        """Return the same as `version` for a table in any folder or at any URI."""
        if not DeltaTable.isDeltaTable(self.spark, path):
            return None
        latest = DeltaTable.forPath(self.spark, path).history(1).select("version").first()
        assert latest is not None
        return int(latest["version"])

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """Return the table as of `version`, by default the latest."""
        return self.read_at(self.path(table), version)

    def read_at(self, path: str, version: int | None = None) -> DataFrame:
        """Return the same as `read` for a table in any folder or at any URI."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(path)

    def overwrite(
        self,
        table: Table,
        rows: DataFrame,
        *,
        where: str | None = None,
        partition_by: tuple[str, ...] = (),
        user_metadata: str | None = None,
    ) -> int:
        """Replace the table, or the rows that meet `where`, in one commit. Return the commit's version.

        A second write of the same rows leaves one copy, and a reader sees all of the old rows or all of the new.
        """
        writer = _shaped(table, rows).write.format("delta").mode("overwrite").options(**_PROPERTIES)
        if where is not None and self.exists(table):
            writer = writer.option("replaceWhere", where).option("mergeSchema", "true")
        else:
            writer = writer.option("overwriteSchema", "true").partitionBy(*partition_by)
        if user_metadata is not None:
            writer = writer.option("userMetadata", user_metadata)
        if where is None:
            writer.save(self.path(table))
        else:
            _retry(lambda: writer.save(self.path(table)))
        return self._committed()

    def commit_after(
        self, table: Table, rows: DataFrame, parent: int | None, *, mode: str, user_metadata: Mapping[str, Any]
    ) -> int | None:
        """Write the table if `parent` is still its latest version, and of several writers at once let one commit.

        Parameters
        ----------
        table, rows
            The table, and what replaces or joins its rows.
        parent
            The version that the writer has read; None: there was no table.
        mode
            overwrite or append.
        user_metadata
            What the commit carries, as JSON.

        Returns
        -------
        int or None
            The commit's version, or None if another writer was first. Nothing is written then.
        """
        if self.version(table) != parent:
            return None
        token = uuid4().hex
        number = 0 if parent is None else parent + 1
        # Delta drops a write whose number is not above that of the last committed one.
        once = {"txnAppId": f"commits of {table.name}", "txnVersion": str(number)}
        writer = _shaped(table, rows).write.format("delta").mode(mode).options(**_PROPERTIES, **once)
        writer = writer.option("overwriteSchema" if mode == "overwrite" else "mergeSchema", "true")
        try:
            writer.option("userMetadata", json.dumps({**user_metadata, "token": token})).save(self.path(table))
        except PySparkException as error:
            if not _lost_race(error):
                raise
            return None
        for commit in self.history(table).where(F.col("version") >= number).collect():
            if token in (commit["userMetadata"] or ""):
                return int(commit["version"])
        return None

    def upsert(
        self, table: Table, rows: DataFrame, key: str, *, keep: Collection[str], others: Mapping[str, str]
    ) -> int:
        """Insert the rows, or update those with the same key, in one commit. Return the commit's version.

        Parameters
        ----------
        table, rows
            The table, which is made if there is none, and the rows.
        key
            The column that tells rows apart.
        keep
            Columns that an update leaves as they are.
        others
            SQL expressions by column, for the rows of the table whose key is not among the rows'.
        """
        if not self.exists(table):
            return self.overwrite(table, rows)
        self.widen(table)
        columns = {name: f"new.`{name}`" for name in table.names}
        update = {name: value for name, value in columns.items() if name not in keep}
        merge = DeltaTable.forPath(self.spark, self.path(table)).alias("old")
        merge_into = merge.merge(_shaped(table, rows).alias("new"), f"old.`{key}` = new.`{key}`")
        merge_into = merge_into.whenMatchedUpdate(set=update).whenNotMatchedInsert(values=columns)  # type: ignore[arg-type]
        _retry(merge_into.whenNotMatchedBySourceUpdate(set=dict(others)).execute)
        return self._committed()

    def update(self, table: Table, where: Column, values: Mapping[str, Column]) -> None:
        """Update the rows that meet a condition, in one commit."""
        self.widen(table)
        delta = DeltaTable.forPath(self.spark, self.path(table))
        _retry(lambda: delta.update(where, dict(values)))

    def delete(self, table: Table, where: Column) -> None:
        """Delete the rows that meet a condition, in one commit. Earlier versions keep them."""
        delta = DeltaTable.forPath(self.spark, self.path(table))
        _retry(lambda: delta.delete(where))

    def widen(self, table: Table) -> None:
        """Add the columns that a table made by older code lacks."""
        present = set(self.read(table).columns)
        missing = [column for column in table.columns if column.name not in present]
        if missing:
            added = ", ".join(f"`{column.name}` {column.type} COMMENT {_quoted(column.comment)}" for column in missing)
            _retry(lambda: self.spark.sql(f"ALTER TABLE delta.`{self.path(table)}` ADD COLUMNS ({added})"))

    def restore(self, table: Table, version: int) -> int | None:
        """Make an earlier version the latest one, without a copy of its files.

        Returns the commit's version, or None if another writer was first.
        """
        try:
            DeltaTable.forPath(self.spark, self.path(table)).restoreToVersion(version)
        except PySparkException as error:
            if not _lost_race(error):
                raise
            return None
        return self.version(table)

    def files(self, table: Table, version: int | None = None) -> set[str]:
        """Return the names, relative to the table, of the data files of a version, by default the latest."""
        root = self.path(table).rstrip("/").rpartition("/")[2]
        return {unquote(file).rpartition(f"/{root}/")[2] for file in self.read(table, version).inputFiles()}

    def append(self, table: Table, rows: DataFrame) -> int:
        """Append in one commit. Return the commit's version. A table that older code made gets its missing columns."""
        writer = _shaped(table, rows).write.format("delta").mode("append").option("mergeSchema", "true")
        writer.options(**_PROPERTIES).save(self.path(table))
        return self._committed()

    def append_once(self, table: Table, rows: DataFrame, *, series: str, number: int) -> None:
        """Append, unless an append with this number of the series, or a higher one, was committed before.

        Of several at the same time one is committed, and the others are dropped without an error.
        """
        once = {"txnAppId": series, "txnVersion": str(number)}
        writer = _shaped(table, rows).write.format("delta").mode("append").options(**_PROPERTIES, **once)
        try:
            writer.save(self.path(table))
        except PySparkException as error:
            if not _lost_race(error):
                raise

    def history(self, table: Table) -> DataFrame:
        """Return Delta's history: version, timestamp, operation, userMetadata, newest first."""
        return DeltaTable.forPath(self.spark, self.path(table)).history()

    def constraint(self, table: Table, name: str) -> str | None:
        """Return the condition of a CHECK constraint without its spaces, or None if there is none."""
        if not self.exists(table):
            return None
        detail = DeltaTable.forPath(self.spark, self.path(table)).detail().select("properties").first()
        assert detail is not None
        condition: str | None = detail["properties"].get(f"delta.constraints.{name.lower()}")
        return condition and condition.replace(" ", "")  # Delta stores it spaced out

    def require(self, table: Table, name: str, condition: str) -> None:
        """Add a CHECK constraint, which every later write must meet."""
        self.spark.sql(f"ALTER TABLE delta.`{self.path(table)}` ADD CONSTRAINT {name} CHECK ({condition})")

    def release(self, table: Table, name: str) -> None:
        """Drop a CHECK constraint if there is one."""
        self.spark.sql(f"ALTER TABLE delta.`{self.path(table)}` DROP CONSTRAINT IF EXISTS {name}")

    def _committed(self) -> int:
        """Return the version of this session's last commit, even if other sessions write to the table, too."""
        version = self.spark.conf.get("spark.databricks.delta.lastCommitVersionInSession")
        assert version is not None
        return int(version)


def _lost_race(error: PySparkException) -> bool:
    return any(reason in str(error) for reason in _LOST_RACES)


def _retry(write: Callable[[], object]) -> None:
    """Write again if another writer was first. The write must leave the same rows whatever came before it."""
    for attempt in range(_ATTEMPTS):
        try:
            write()
            return
        except PySparkException as error:
            if not _lost_race(error) or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.2 * 2**attempt * random.random())


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _shaped(table: Table, rows: DataFrame) -> DataFrame:
    """Return the rows with the table's columns in their order, types and comments."""
    return rows.select(
        *[
            F.col(column.name).cast(column.type).alias(column.name, metadata={"comment": column.comment})
            for column in table.columns
        ]
    )
