"""Reading and writing of the project's Delta tables. No other module knows Delta."""

from __future__ import annotations

from delta.tables import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
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
        writer.save(self.path(table))
        return self._committed()

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
            if not any(reason in str(error) for reason in _LOST_RACES):
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


def _shaped(table: Table, rows: DataFrame) -> DataFrame:
    """Return the rows with the table's columns in their order, types and comments."""
    return rows.select(
        *[
            F.col(column.name).cast(column.type).alias(column.name, metadata={"comment": column.comment})
            for column in table.columns
        ]
    )
