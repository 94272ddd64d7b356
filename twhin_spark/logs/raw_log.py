"""A log as it is read, before its rows are checked, and what its formats share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config.sections import LogConfig
from twhin_spark.logs.files import LogFiles, spark_path

KIND = "__kind"  # row, malformed, or header: a line that names the columns
RAW = "__raw"
FILE = "__file"  # URI of the row's file
CORRUPT = "__corrupt"

READER_OPTIONS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
_DEFAULT_OPTIONS = {
    "csv": {"sep": ",", "quote": '"', "escape": '"'},  # RFC 4180: a quote in a quoted field is doubled
    "json": {"primitivesasstring": "true"},  # `select` says the meaning of a value, not the rows of the day
}
# Options that `files` has carried out.
_PATH_OPTIONS = ("basepath", "pathglobfilter", "recursivefilelookup")


@dataclass(frozen=True)
class RawLog:
    """A log's rows and files.

    rows: KIND, RAW and the log's own `columns`. A log without any row may have no columns.
    unreadable: columns that cannot be read, with the reason; an expression over one of them is an error.
    lacking: columns that some of the files do not have, with their number and one of them.
    is_valid_text: all text is known to be UTF-8, as the lines have been checked.
    nan: text that JSON's NaN has become, and Infinity likewise. In lines it is in quotes, which no text "NaN" has.
    rewrites_numbers: an unquoted number may have been parsed and written anew, as 1e5 to 100000.0.
    """

    rows: DataFrame
    columns: list[str]
    files: LogFiles = field(default_factory=LogFiles)
    unreadable: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, tuple[int, str]] = field(default_factory=dict)
    is_valid_text: bool = False
    nan: str | None = None
    rewrites_numbers: bool = False


def options_of(log: LogConfig) -> dict[str, str]:
    """Return Spark's reader options, with names in lower case, which to Spark are the same."""
    given = {option.lower(): value for option, value in log.options.items()}
    if "delimiter" in given:
        given["sep"] = given.pop("delimiter")
    texts = {option: str(value).lower() if isinstance(value, bool) else str(value) for option, value in given.items()}
    return {**_DEFAULT_OPTIONS.get(log.format, {}), **texts}


def is_true(log: LogConfig, option: str) -> bool:
    return options_of(log).get(option, "").lower() == "true"


def encoding_of(log: LogConfig) -> str | None:
    """Return the encoding that the options declare, None for UTF-8."""
    options = options_of(log)
    encoding = options.get("encoding", options.get("charset"))
    return None if encoding is None or encoding.upper() in ("UTF-8", "UTF8") else encoding


def is_wide(encoding: str | None) -> bool:
    """Return True for an encoding in which a line break has several bytes."""
    return encoding is not None and encoding.upper().replace("_", "-").startswith(
        ("UTF-16", "UTF-32", "UTF16", "UTF32")
    )


def reader_of(spark: SparkSession, log: LogConfig) -> DataFrameReader:
    """Return a reader of files with the log's options."""
    options = {name: value for name, value in options_of(log).items() if name not in _PATH_OPTIONS}
    return file_reader(spark).options(**options)


def file_reader(spark: SparkSession) -> DataFrameReader:
    """Return a reader that takes the paths of files as they are written, without globs and columns of folders.

    Without `recursiveFileLookup`, Spark reads files twice if the path of one of them has the signs of a glob.
    """
    return spark.read.options(__globPaths__="false", recursiveFileLookup="true")


def spark_paths(locations: Sequence[str]) -> list[str]:
    return [spark_path(location) for location in locations]


def with_file(rows: DataFrame) -> DataFrame:
    """Add FILE to rows that come straight from files."""
    return rows.withColumn(FILE, F.col("_metadata.file_path"))


def with_folder_columns(rows: DataFrame, files: LogFiles) -> DataFrame:
    """Add the columns that folders give. rows: with FILE, if there are such columns."""
    columns = files.folder_columns
    if not columns:
        return rows
    jvm = rows.sparkSession._jvm
    assert jvm is not None
    values = [
        (
            jvm.org.apache.hadoop.fs.Path(spark_path(file.location)).toUri().toString(),
            *map(file.folder_values.get, columns),
        )
        for file in files.read
    ]
    schema = ", ".join(f"{quoted(name)} STRING" for name in (FILE, *columns))
    kept = [F.col(quoted(name)) for name in rows.columns if name not in columns]
    return rows.select(*kept).join(F.broadcast(rows.sparkSession.createDataFrame(values, schema)), FILE, "left")


def with_json(rows: DataFrame) -> DataFrame:
    """Add KIND and RAW to parsed rows: the text of a malformed row, else the row as JSON."""
    own = [F.col(quoted(column)) for column in rows.columns if column not in (CORRUPT, FILE)]
    raw, kind = F.to_json(F.struct(*own)) if own else F.lit("{}"), F.lit("row")
    if CORRUPT in rows.columns:
        raw, kind = F.coalesce(CORRUPT, raw), F.when(F.col(CORRUPT).isNotNull(), "malformed").otherwise("row")
    return rows.select(kind.alias(KIND), F.make_valid_utf8(raw).alias(RAW), *own)


def alike_names(names: Iterable[str]) -> dict[str, str]:
    """Return the names that differ from another one only by case, which Spark takes for one, with the reason."""
    by_lower: dict[str, list[str]] = {}
    for name in names:
        by_lower.setdefault(name.lower(), []).append(name)
    return {
        name: f"the columns {' and '.join(alike)} differ only by case; name one of them in columns"
        for alike in by_lower.values()
        for name in alike
        if len(alike) > 1
    }


def lacking_columns(groups: Iterable[tuple[Collection[str], Sequence[str]]]) -> dict[str, tuple[int, str]]:
    """Return the columns that some of the files do not have, with the number of these files and one of them.

    Parameters
    ----------
    groups
        The columns and the locations of files that have the same columns.
    """
    groups = list(groups)
    every = dict.fromkeys(column for columns, _ in groups for column in columns)
    without = {
        column: [file for columns, files in groups if column not in columns for file in files] for column in every
    }
    return {column: (len(files), files[0]) for column, files in without.items() if files}


def union(left: DataFrame, right: DataFrame) -> DataFrame:
    """Put rows together by the names of their columns; a column that one side lacks is null there."""
    return left.unionByName(right, allowMissingColumns=True)


def quoted(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"
