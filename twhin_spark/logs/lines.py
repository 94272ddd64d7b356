"""Reading of logs whose rows are lines: CSV, JSON and text.

Each line is parsed by itself, so that the quarantine gets it as it was written and so that it can be sealed: a field
or a brace of our own is added behind its end before it is parsed. A line that is broken swallows the seal:

    like,u1,"i1         becomes   like,u1,"i1,.            the open quote takes the last field, so one is missing
    {"a": 1} {"a": 2}   becomes   {"object":{"a": 1} {"a": 2}}    not valid JSON

Without the seal, Spark would take the first line as u1, i1 and the second as a = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType, StructField, StructType

from twhin_spark.config.sections import LogConfig
from twhin_spark.logs.files import LogFiles
from twhin_spark.logs.headers import HeadedFiles, headed_files
from twhin_spark.logs.raw_log import (
    CORRUPT,
    FILE,
    KIND,
    RAW,
    READER_OPTIONS,
    RawLog,
    alike_names,
    encoding_of,
    file_reader,
    is_true,
    is_wide,
    lacking_columns,
    options_of,
    quoted,
    reader_of,
    spark_paths,
    union,
    with_file,
    with_folder_columns,
)
from twhin_spark.tables.session_settings import spark_setting

_LINE, _VALID, _PARSED, _SEAL = "__line", "__valid", "__parsed", "__seal"
_FLOAT = r"[0-9](\.[0-9]|[eE])|[:,\[\s]-0"  # a number that Spark may write anew
# Anything but numbers and strings, whole strings, then a number. The quantifiers are possessive, as Java would
# recurse for others and overflow its stack on a long line.
_NUMBER = r'\G((?:[^"0-9-]++|-(?![0-9])|"(?:[^"\\]++|\\.)*+")*+)(-?[0-9][0-9.eE+-]*+)'
_REPLACEMENT = "\ufffd"  # what a decoder writes for bytes that are not of its encoding


def read_csv_lines(
    spark: SparkSession, name: str, log: LogConfig, files: LogFiles, declared: StructType | None
) -> RawLog:
    """Read the lines of CSV files; those whose columns are in another order, by the names in their headers."""
    groups = headed_files(spark, name, log, files, declared)
    parts = [_read_headed(spark, log, files, group) for group in groups]
    rows = reduce(union, [part.rows for part in parts])
    columns = [column for column in rows.columns if column not in (KIND, RAW)]
    lacking = lacking_columns((group.columns.names, group.locations) for group in groups)
    return replace(parts[0], rows=rows, columns=columns, lacking=lacking)


def _read_headed(spark: SparkSession, log: LogConfig, files: LogFiles, group: HeadedFiles) -> RawLog:
    lines = _filled(_text(spark, log, files, group.locations), log)
    parsed = lines.withColumn(_PARSED, _parse_csv(F.col(_LINE), group.columns, options_of(log)))
    malformed = F.col(f"{_PARSED}.{CORRUPT}").isNotNull() | ~F.col(_VALID)
    kind = F.when(malformed, "malformed").otherwise("row")
    if group.headers:  # Excel takes a first line such as sep=; for the separator
        named = [*group.headers, f"sep={options_of(log)['sep']}"]
        kind = F.when(F.col(_LINE).isin(*named), "header").otherwise(kind)
    return _raw_log(parsed, kind, F.make_valid_utf8(_LINE), group.columns, _PARSED, files)


def read_json_lines(spark: SparkSession, log: LogConfig, files: LogFiles, schema: StructType | None) -> RawLog:
    lines = _filled(_text(spark, log, files, files.locations), log)
    options = {**options_of(log), **READER_OPTIONS}
    unreadable: dict[str, str] = {}
    if schema is None:
        if encoding_of(log) is None:
            reader = reader_of(spark, log).options(**READER_OPTIONS)
            schema, unreadable = inferred_json(spark, lambda: reader.json(spark_paths(files.locations)))
        else:
            of_text = spark.read.options(**{**options, "encoding": "UTF-8"})
            schema, unreadable = inferred_json(spark, lambda: of_text.json(lines.select(_LINE)))
    # Without any key to read, from_json still requires a field; no line can have this one.
    content = schema if len(schema) else StructType([StructField(_SEAL, StringType())])
    all_text = _is_text(schema)
    line = _with_quoted_numbers(F.col(_LINE), is_true(log, "allownumericleadingzeros")) if all_text else F.col(_LINE)
    # An extra brace would close the outer object before its seal.
    sealed = F.concat(F.lit('{"object":'), line, F.lit(f',"{_SEAL}":"."}}'))
    fields = StructType([StructField("object", content), *(StructField(n, StringType()) for n in (_SEAL, CORRUPT))])
    parsed = lines.withColumn(_PARSED, F.from_json(sealed, fields, {**options, "encoding": "UTF-8"}))
    unsealed = F.col(f"{_PARSED}.object").isNull() | F.col(f"{_PARSED}.{_SEAL}").isNull()
    broken = F.col(f"{_PARSED}.{CORRUPT}").isNotNull() | unsealed | ~F.col(_VALID)
    kind = F.when(broken, "malformed").otherwise("row")
    raw = _raw_log(parsed, kind, F.make_valid_utf8(_LINE), schema, f"{_PARSED}.object", files)
    return replace(raw, unreadable=unreadable, nan='"NaN"', rewrites_numbers=not all_text)


def inferred_json(spark: SparkSession, read: Callable[[], DataFrame]) -> tuple[StructType, dict[str, str]]:
    """Return the fields that Spark finds in JSON, and those that are unreadable, with the reason."""
    with spark_setting(spark, "spark.sql.caseSensitive", "true"):  # else names that differ only by case are an error
        found = [field for field in read().schema if field.name != CORRUPT]
    unreadable = alike_names([field.name for field in found])
    known = [StructField(field.name, field.dataType) for field in found if field.name not in unreadable]
    return StructType(known), unreadable


def read_text_lines(spark: SparkSession, log: LogConfig, files: LogFiles) -> RawLog:
    lines = with_folder_columns(_text(spark, log, files, files.locations), files)
    kind = F.when(F.col(_VALID), "row").otherwise("malformed")
    folders = [column for column in files.folder_columns if column != "value"]
    value, raw = F.col(_LINE).alias("value"), F.make_valid_utf8(_LINE).alias(RAW)
    return RawLog(
        lines.select(kind.alias(KIND), raw, value, *map(quoted, folders)),
        ["value", *folders],
        files,
        is_valid_text=True,
    )


def _text(spark: SparkSession, log: LogConfig, files: LogFiles, locations: Sequence[str]) -> DataFrame:
    """Read lines: `_LINE`, `_VALID`, which is false if a line's bytes are not of the encoding, and FILE if needed."""
    file = [F.col(FILE)] if files.folder_columns else []

    def named(rows: DataFrame) -> DataFrame:
        return with_file(rows) if file else rows

    encoding, paths = encoding_of(log), spark_paths(locations)
    options = {name: value for name, value in options_of(log).items() if name == "linesep"}
    text = file_reader(spark).options(**options).format("text")
    if encoding is None:
        lines = named(text.load(paths)).withColumnRenamed("value", _LINE)
        return lines.select(_LINE, *file, F.is_valid_utf8(_LINE).alias(_VALID))
    with spark_setting(spark, "spark.sql.legacy.codingErrorAction", "true"):  # else one bad byte ends the job
        if is_wide(encoding):  # the text reader would look for line breaks of one byte
            whole = text.options(wholetext="true").load(paths)
            content = F.decode(F.col("value").cast("binary"), encoding)
            content = F.regexp_replace(content, r"^\ufeff|\r?\n\z", "")
            lines = named(whole).select(F.explode(F.split(content, r"\r\n|\n|\r")).alias(_LINE), *file)
        else:
            line = F.decode(F.col("value").cast("binary"), encoding)
            lines = named(text.load(paths)).select(line.alias(_LINE), *file)
    return lines.withColumn(_VALID, ~F.contains(_LINE, F.lit(_REPLACEMENT)))


def _filled(lines: DataFrame, log: LogConfig) -> DataFrame:
    """Leave out comments and blank lines."""
    if comment := options_of(log).get("comment"):
        lines = lines.where(~F.col(_LINE).startswith(comment))
    return lines.where(F.length(F.trim(_LINE)) > 0)


def _parse_csv(line: Column, content: StructType, options: dict[str, str]) -> Column:
    sealed = F.concat(line, F.lit(options["sep"].replace("\\t", "\t")), F.lit("."))
    ddl = [f"{quoted(field.name)} {field.dataType.simpleString()}" for field in content]
    schema = ", ".join([*ddl, f"{_SEAL} STRING", f"{CORRUPT} STRING"])
    return F.from_csv(sealed, schema, {**options, **READER_OPTIONS})


def _is_text(data_type: DataType) -> bool:
    """Return True if all values in a type are text."""
    if isinstance(data_type, StructType):
        return all(_is_text(field.dataType) for field in data_type)
    if isinstance(data_type, ArrayType):
        return _is_text(data_type.elementType)
    return isinstance(data_type, StringType)


def _with_quoted_numbers(line: Column, always: bool) -> Column:
    """Put the numbers of a JSON line in quotes, if some are no plain integers: Spark would write 1.10 anew, as 1.1.

    always: whether integers alone are a reason, too, as those with leading zeros are.

    For example, {"id": 1e5, "at": "at 1.5"} becomes {"id": "1e5", "at": "at 1.5"}.
    """
    quoted_numbers = F.regexp_replace(line, _NUMBER, '$1"$2"')
    return quoted_numbers if always else F.when(line.rlike(_FLOAT), quoted_numbers).otherwise(line)


def _raw_log(parsed: DataFrame, kind: Column, raw: Column, schema: StructType, parent: str, files: LogFiles) -> RawLog:
    """Select the columns of the struct `parent`, and add those of the folders."""
    folders = files.folder_columns
    own = [F.col(f"{parent}.{quoted(f.name)}").alias(f.name) for f in schema if f.name not in folders]
    rows = parsed.select(kind.alias(KIND), raw.alias(RAW), *own, *([F.col(FILE)] if folders else []))
    columns = [*[f.name for f in schema if f.name not in folders], *folders]
    rows = with_folder_columns(rows, files).select(KIND, RAW, *map(quoted, columns))
    return RawLog(rows, columns, files, is_valid_text=True)
