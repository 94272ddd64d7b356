"""A log as it is read, before its rows are checked, and what its formats share."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config.sections import LogConfig
from twhin_spark.logs.files import LogFiles, spark_path

KIND = "__twhin_kind"  # row, malformed, or header: a line that names the columns
RAW = "__twhin_raw"
FILE = "__twhin_file"  # URI of the row's file
CORRUPT = "__twhin_corrupt"

REPLACEMENT = "\ufffd"  # what a decoder writes for bytes that are not of its encoding
READER_OPTIONS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
_ESCAPES = {r"\t": "\t", r"\r": "\r", r"\b": "\b", r"\f": "\f", r"\"": '"', r"\'": "'", r"\\": "\\"}  # of separators
_DEFAULT_OPTIONS = {
    "csv": {"sep": ",", "quote": '"', "escape": '"'},  # RFC 4180: a quote in a quoted field is doubled
    "json": {"primitivesasstring": "true"},  # `select` says the meaning of a value, not the rows of the day
}
# Fields of a row of CSV: up to which Spark's parser has room by default, and of the longest row that is parsed.
USUAL_FIELDS, MOST_FIELDS = 20_480, 1 << 20
# What ends a job if a row is larger: rows of any size are read.
_LIMITS = ("maxcolumns", "maxcharspercolumn")
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
    has_escapes: text may be written with JSON's escapes, of which half a surrogate pair has become a question mark.
    """

    rows: DataFrame
    columns: list[str]
    files: LogFiles = field(default_factory=LogFiles)
    unreadable: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, tuple[int, str]] = field(default_factory=dict)
    is_valid_text: bool = False
    nan: str | None = None
    rewrites_numbers: bool = False
    has_escapes: bool = False


def options_of(log: LogConfig) -> dict[str, str]:
    """Return Spark's reader options, with names in lower case, which to Spark are the same."""
    given = {option.lower(): value for option, value in log.options.items()}
    if "delimiter" in given:
        given["sep"] = given.pop("delimiter")
    texts = {
        option: str(value).lower() if isinstance(value, bool) else str(value)
        for option, value in given.items()
        if option not in _LIMITS
    }
    if "sep" in texts:
        texts["sep"] = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), texts["sep"])
    return {**_DEFAULT_OPTIONS.get(log.format, {}), **texts}


def separator_of(options: Mapping[str, str]) -> str:
    r"""Return the separator that Spark reads in an option: of `\t`, a tab."""
    return _ESCAPES.get(options["sep"], options["sep"])


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
    return rows.withColumn(FILE, rows.metadataColumn("_metadata").getField("file_path"))


def with_folder_columns(rows: DataFrame, files: LogFiles) -> DataFrame:
    """Add the columns that folders give. rows: with FILE, if there are such columns.

    A column that the rows have, too, as `columns` names it without saying whether a file has it, is theirs where it is
    not null.
    """
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
    of_folders = F.broadcast(rows.sparkSession.createDataFrame(values, schema))
    own = {field.name.lower(): field for field in rows.schema if field.name != FILE}
    both = {name: own.pop(name.lower()) for name in columns if name.lower() in own}
    given = {
        name: F.coalesce(rows[quoted(field.name)], of_folders[quoted(name)].cast(field.dataType)).alias(field.name)
        for name, field in both.items()
    }
    return rows.join(of_folders, FILE, "left").select(
        rows[FILE],
        *[rows[quoted(field.name)] for field in own.values()],
        *[given.get(name, of_folders[quoted(name)]) for name in columns],
    )


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
        if len(set(alike)) == len(alike)
        else f"there are {len(alike)} columns {name}; write the files with a name of its own for each column"
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
