"""Check of the options of Spark's readers, of which Spark ignores those that it does not know."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from twhin_spark.config.load import nearest
from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import ConfigError

# Classes whose companions list the options of a format.
_CLASSES = {
    "csv": "org.apache.spark.sql.catalyst.csv.CSVOptions",
    "json": "org.apache.spark.sql.catalyst.json.JSONOptions",
    "text": "org.apache.spark.sql.execution.datasources.text.TextOptions",
    "parquet": "org.apache.spark.sql.execution.datasources.parquet.ParquetOptions",
}
_OF_FILES = ("basePath", "pathGlobFilter", "recursiveFileLookup", "charset")
_OF_DELTA = ("versionAsOf", "timestampAsOf", "mergeSchema")
_OF_CHANGES = (
    "readChangeFeed",
    "readChangeData",
    "startingVersion",
    "startingTimestamp",
    "endingVersion",
    "endingTimestamp",
)


def check_options(spark: SparkSession, name: str, log: LogConfig) -> None:
    """Check that Spark knows the options of a log. One with a dot in its name is of a file system, and passes.

    Raises
    ------
    ConfigError
        An option is unknown.
    """
    known = _known_options(spark, log.format)
    words = {option.lower() for option in known}
    for option in log.options:
        if option.lower() not in words and "." not in option:
            raise ConfigError(
                f"logs.{name}.options.{option} is no option of Spark's reader for {log.format}"
                f"{nearest(option, known)}; remove it"
            )


def _known_options(spark: SparkSession, log_format: str) -> list[str]:
    if log_format == "delta":
        return [*_OF_DELTA, *_OF_CHANGES]
    companion: Any = spark._jvm
    for part in _CLASSES[log_format].split("."):
        companion = getattr(companion, part)
    return [*companion.getAllOptions().mkString(" ").split(), *_OF_FILES]
