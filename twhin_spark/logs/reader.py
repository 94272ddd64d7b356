"""Reads a log: every row in the columns of its files, with what it looked like and whether it is a row at all.

A CSV or JSON log is read as lines, and each line is parsed by itself. So the quarantine gets a line as it was written,
and a line can be sealed before it is parsed: a field or brace of our own behind its end is swallowed by a quote that
is never closed, or stands in the wrong place behind a second object. Such lines would else pass for sound ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.locations import absolute, is_uri
from twhin_spark.logs.spark_errors import FAILURES, REFUSALS, one_line

KIND = "__kind"  # row, malformed, or header: a line that names the columns (its raw is the file's path)
RAW = "__raw"
_LINE, _PARSED, _CORRUPT, _SEAL = "__line", "__parsed", "__corrupt", "__seal"

_READER_OPTIONS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _CORRUPT}
_DEFAULT_OPTIONS = {
    "csv": {"sep": ",", "quote": '"', "escape": '"'},  # RFC 4180: a quote in a quoted field is doubled
    "json": {"primitivesasstring": "true"},  # what a value means is for `select` to say, not for today's rows
}


@dataclass(frozen=True)
class RawLog:
    """rows: KIND, RAW and the log's own `columns`. A log without any row may have no columns."""

    rows: DataFrame
    columns: list[str]


def read_log(spark: SparkSession, name: str, log: LogConfig, dataframe: DataFrame | None = None) -> RawLog:
    """Return the log as a lazy DataFrame: of its files, or of the DataFrame that holds its rows.

    Raises
    ------
    ConfigError
        Spark refuses `columns`.
    InputError
        Spark cannot find or open the files, or refuses the options.
    """
    if dataframe is not None:
        return _rows_with_json(dataframe)
    schema = _declared(spark, name, log)
    try:
        if log.format == "csv" and not _true(log, "multiline"):
            return _csv_lines(spark, log, schema)
        if log.format == "json" and not _true(log, "multiline"):
            return _json_lines(spark, log, schema)
        return _whole(spark, log, schema)
    except FAILURES as error:
        raise InputError(
            f"logs.{name}.path: cannot read {', '.join(log.path)} as {log.format}: {one_line(error)}; "
            "check the path, the format and its options"
        ) from None


def check_headers(spark: SparkSession, name: str, log: LogConfig, files: list[str], headed: set[str]) -> None:
    """Raises InputError where one of the `files` (URIs) has rows, but not the header that the `headed` ones have."""
    for file in sorted(unquote(uri) for uri in set(files) - headed):
        if (first := _text(spark, log, [file]).first()) is not None:
            raise InputError(
                f"logs.{name}.path: {file} begins with '{first[_LINE][:200]}', which is not the header of the other "
                "files; give files with other columns a log of their own, or set options.header: false"
            )


def has_header(log: LogConfig) -> bool:
    return log.format == "csv" and _true(log, "header") and not _true(log, "multiline")


def _csv_lines(spark: SparkSession, log: LogConfig, schema: StructType | None) -> RawLog:
    lines = _text(spark, log, paths_of(log))
    options = _options(log)
    sealed = F.concat(_LINE, F.lit(options["sep"].replace("\\t", "\t")), F.lit("."))
    kind = F.when(F.col(f"{_PARSED}.{_CORRUPT}").isNotNull(), "malformed").otherwise("row")
    raw: Column = F.col(_LINE)
    if schema is None:
        names = spark.read.options(**options).csv(paths_of(log)).drop(*_folders(lines)).columns
        schema = StructType([StructField(column, StringType()) for column in names])
    if _true(log, "header") and (header := lines.first()) is not None:
        is_header = F.col(_LINE) == header[_LINE]
        kind = F.when(is_header, "header").otherwise(kind)
        raw = F.when(is_header, F.input_file_name()).otherwise(raw)
    ddl = ", ".join(f"`{f.name.replace('`', '``')}` {f.dataType.simpleString()}" for f in schema)
    fields = ", ".join([*([ddl] if ddl else []), f"{_SEAL} STRING", f"{_CORRUPT} STRING"])
    parsed = lines.withColumn(_PARSED, F.from_csv(sealed, fields, {**options, **_READER_OPTIONS}))
    return _raw_log(parsed, kind, raw, schema, _PARSED, _folders(lines))


def _json_lines(spark: SparkSession, log: LogConfig, schema: StructType | None) -> RawLog:
    lines = _text(spark, log, paths_of(log))
    options = {**_options(log), **_READER_OPTIONS}
    if schema is None:
        inferred = spark.read.options(**options).json(paths_of(log)).drop(_CORRUPT, *_folders(lines)).schema
        schema = StructType([StructField(f.name, f.dataType) for f in inferred])
    # Without any key to read, from_json still wants a field; no line can have this one.
    content = schema if len(schema) else StructType([StructField(_SEAL, StringType())])
    sealed = F.concat(F.lit('{"object":'), F.col(_LINE), F.lit("}"))
    wanted = StructType([StructField("object", content), StructField(_CORRUPT, StringType())])
    parsed = lines.withColumn(_PARSED, F.from_json(sealed, wanted, options))
    broken = F.col(f"{_PARSED}.{_CORRUPT}").isNotNull() | F.col(f"{_PARSED}.object").isNull()
    kind = F.when(broken, "malformed").otherwise("row")
    return _raw_log(parsed, kind, F.col(_LINE), schema, f"{_PARSED}.object", _folders(lines))


def _raw_log(
    parsed: DataFrame, kind: Column, raw: Column, schema: StructType, parent: str, folders: list[str]
) -> RawLog:
    """Columns of the struct `parent` and of the folders (`date=2026-05-01/`) that the files lie in."""
    own = [F.col(f"{parent}.{quoted(f.name)}").alias(f.name) for f in schema]
    rows = parsed.select(kind.alias(KIND), raw.alias(RAW), *own, *[F.col(quoted(folder)) for folder in folders])
    return RawLog(rows, [*schema.names, *folders])


def _whole(spark: SparkSession, log: LogConfig, schema: StructType | None) -> RawLog:
    """Read a format whose rows are not lines."""
    options = _options(log)
    reader = spark.read.format(log.format).options(**options)
    if log.format in ("csv", "json"):
        if schema is None:
            inferred = reader.options(**_READER_OPTIONS).load(paths_of(log)).drop(_CORRUPT).schema
            schema = StructType([StructField(f.name, f.dataType) for f in inferred])
        wanted = StructType([*schema.fields, StructField(_CORRUPT, StringType())])
        # A file whose header is another one fails the job; pruned columns would hide rows with too few fields.
        strict = {**_READER_OPTIONS, "enforceSchema": "false", "columnPruning": "false"}
        rows = spark.read.format(log.format).options(**options).options(**strict).schema(wanted).load(paths_of(log))
    elif log.format == "delta":
        rows = reduce(DataFrame.unionByName, [reader.load(path) for path in paths_of(log)])
    else:
        rows = reader.load(paths_of(log))
    return _rows_with_json(rows)


def _rows_with_json(rows: DataFrame) -> RawLog:
    """Add KIND and RAW: the text of a malformed row, else the row as JSON."""
    columns = [column for column in rows.columns if column != _CORRUPT]
    own = [F.col(quoted(column)) for column in columns]
    raw, kind = F.to_json(F.struct(*own)), F.lit("row")
    if _CORRUPT in rows.columns:
        raw, kind = F.coalesce(_CORRUPT, raw), F.when(F.col(_CORRUPT).isNotNull(), "malformed").otherwise("row")
    return RawLog(rows.select(kind.alias(KIND), raw.alias(RAW), *own), columns)


def _text(spark: SparkSession, log: LogConfig, paths: list[str]) -> DataFrame:
    """The lines that hold something: `_LINE`, and the columns of the folders."""
    options = _options(log)
    lines = spark.read.format("text").options(**options).load(paths).withColumnRenamed("value", _LINE)
    if encoding := options.get("encoding", options.get("charset")):
        lines = lines.withColumn(_LINE, F.decode(F.col(_LINE).cast("binary"), encoding))
    if comment := options.get("comment"):
        lines = lines.where(~F.col(_LINE).startswith(comment))
    return lines.where(F.length(F.trim(_LINE)) > 0)


def _folders(lines: DataFrame) -> list[str]:
    return [column for column in lines.columns if column != _LINE]


def _declared(spark: SparkSession, name: str, log: LogConfig) -> StructType | None:
    if log.columns is None:
        return None
    try:
        schema = StructType.fromDDL(log.columns)
    except REFUSALS as error:
        raise ConfigError(
            f"logs.{name}.columns: found '{log.columns}'; allowed: Spark DDL as `id STRING, n INT`: {one_line(error)}"
        ) from None
    return schema if isinstance(schema, StructType) else StructType([StructField("value", schema)])


def paths_of(log: LogConfig) -> list[str]:
    """Paths as Spark gets them: one without a scheme lies on this machine, whatever Spark's default file system is."""
    return [path if is_uri(path) else f"file:{absolute(path)}" for path in log.path]


def _options(log: LogConfig) -> dict[str, str]:
    """Spark's reader options, names in lower case (to Spark they are the same)."""
    given = {option.lower(): value for option, value in log.options.items()}
    if "delimiter" in given:
        given["sep"] = given.pop("delimiter")
    texts = {option: str(value).lower() if isinstance(value, bool) else str(value) for option, value in given.items()}
    return {**_DEFAULT_OPTIONS.get(log.format, {}), **texts}


def _true(log: LogConfig, option: str) -> bool:
    return _options(log).get(option, "").lower() == "true"


def quoted(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"
