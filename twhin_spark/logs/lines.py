"""Reading of logs whose rows are text: CSV, JSON and text.

Each row, which is a line unless `multiLine` says that it may have several, is parsed by itself, so that the quarantine
gets it as it was written and so that it can be sealed: a field or a brace of our own is added behind its end before it
is parsed. A row that is broken swallows the seal:

    like,u1,"i1         becomes   like,u1,"i1,.            the open quote takes the last field, so one is missing
    {"a": 1} {"a": 2}   becomes   {"object":{"a": 1} {"a": 2}}    not valid JSON

Without the seal, Spark would take the first line as u1, i1 and the second as a = 1.
"""

from __future__ import annotations

from collections.abc import Callable
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
    MOST_FIELDS,
    RAW,
    READER_OPTIONS,
    USUAL_FIELDS,
    RawLog,
    alike_names,
    encoding_of,
    is_true,
    lacking_columns,
    options_of,
    quoted,
    reader_of,
    separator_of,
    spark_paths,
    union,
    with_folder_columns,
)
from twhin_spark.logs.row_texts import LINE, VALID, row_texts
from twhin_spark.tables.session_settings import spark_setting

_PARSED, _SEAL = "__twhin_parsed", "__twhin_seal"
_FLOAT = r"[0-9](\.[0-9]|[eE])|[:,\[\s]-0"  # a number that Spark may write anew
# Signs, words, whole strings and comments, then a number. The quantifiers are possessive, as Java would recurse for
# others and overflow its stack on a long line.
_NUMBER = (
    r"""\G((?:[^"'0-9A-Za-z_$/-]++|[A-Za-z_$][A-Za-z0-9_$]*+|-(?![0-9])"""
    r"""|"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+'COMMENTS)*+)(-?[0-9][0-9.eE+-]*+)"""
)
_COMMENTS = r"|/\*(?:[^*]++|\*(?!/))*+\*/|//[^\r\n]*+"


def read_csv_lines(
    spark: SparkSession, name: str, log: LogConfig, files: LogFiles, declared: StructType | None
) -> RawLog:
    """Read the lines of CSV files; those whose columns are in another order, by the names in their headers."""
    groups = headed_files(spark, name, log, files, declared)
    files = files.besides(column for group in groups for column in group.columns.names)
    parts = [_read_headed(spark, log, files, group) for group in groups]
    rows = reduce(union, [part.rows for part in parts])
    columns = [column for column in rows.columns if column not in (KIND, RAW)]
    lacking = lacking_columns((group.columns.names, group.locations) for group in groups)
    return replace(parts[0], rows=rows, columns=columns, lacking=lacking)


def _read_headed(spark: SparkSession, log: LogConfig, files: LogFiles, group: HeadedFiles) -> RawLog:
    lines = _filled(row_texts(spark, log, files, group.locations), log)
    parsed = lines.withColumn(_PARSED, _parse_csv(F.col(LINE), group.columns, options_of(log)))
    malformed = F.col(_PARSED).isNull() | F.col(f"{_PARSED}.{CORRUPT}").isNotNull() | ~F.col(VALID)
    kind = F.when(malformed, "malformed").otherwise("row")
    if group.headers:  # Excel takes a first line such as sep=; for the separator
        named = [*group.headers, f"sep={separator_of(options_of(log))}"]
        line = F.regexp_replace(LINE, "\r\n?", "\n") if is_true(log, "multiline") else F.col(LINE)
        kind = F.when(line.isin(*named), "header").otherwise(kind)
    return _raw_log(parsed, kind, F.make_valid_utf8(LINE), group.columns, _PARSED, files)


def read_json_lines(spark: SparkSession, log: LogConfig, files: LogFiles, schema: StructType | None) -> RawLog:
    lines = _filled(row_texts(spark, log, files, files.locations), log)
    options = {**options_of(log), **READER_OPTIONS}
    unreadable: dict[str, str] = {}
    if schema is None:
        if encoding_of(log) is None and not is_true(log, "multiline"):
            reader = reader_of(spark, log).options(**READER_OPTIONS)
            schema, unreadable = inferred_json(spark, lambda: reader.json(spark_paths(files.locations)))
        else:
            of_text = spark.read.options(**{**options, "encoding": "UTF-8"})
            schema, unreadable = inferred_json(spark, lambda: of_text.json(lines.select(LINE)))
        # Not those of `columns`, which may name a column that no row has.
        files = files.besides(schema.names)
    # Without any key to read, from_json still requires a field; no line can have this one.
    content = schema if len(schema) else StructType([StructField(_SEAL, StringType())])
    all_text = _is_text(schema)
    line = _with_quoted_numbers(F.col(LINE), log) if all_text else F.col(LINE)
    # An extra brace would close the outer object before its seal.
    sealed = F.concat(F.lit('{"object":'), line, F.lit(f'\n,"{_SEAL}":"."}}'))  # behind a comment, too
    fields = StructType([StructField("object", content), *(StructField(n, StringType()) for n in (_SEAL, CORRUPT))])
    parsed = lines.withColumn(_PARSED, F.from_json(sealed, fields, {**options, "encoding": "UTF-8"}))
    unsealed = F.col(f"{_PARSED}.object").isNull() | F.col(f"{_PARSED}.{_SEAL}").isNull()
    broken = F.col(f"{_PARSED}.{CORRUPT}").isNotNull() | unsealed | ~F.col(VALID)
    kind = F.when(broken, "malformed").otherwise("row")
    raw = _raw_log(parsed, kind, F.make_valid_utf8(LINE), schema, f"{_PARSED}.object", files)
    return replace(raw, unreadable=unreadable, nan='"NaN"', rewrites_numbers=not all_text, has_escapes=True)


def inferred_json(spark: SparkSession, read: Callable[[], DataFrame]) -> tuple[StructType, dict[str, str]]:
    """Return the fields that Spark finds in JSON, and those that are unreadable, with the reason."""
    with spark_setting(spark, "spark.sql.caseSensitive", "true"):  # else names that differ only by case are an error
        found = [field for field in read().schema if field.name != CORRUPT]
    unreadable = alike_names([field.name for field in found])
    known = [StructField(field.name, field.dataType) for field in found if field.name not in unreadable]
    return StructType(known), unreadable


def read_text_lines(spark: SparkSession, log: LogConfig, files: LogFiles) -> RawLog:
    files = files.besides(["value"])
    lines = with_folder_columns(row_texts(spark, log, files, files.locations), files)
    kind = F.when(F.col(VALID), "row").otherwise("malformed")
    folders = files.folder_columns
    value, raw = F.col(LINE).alias("value"), F.make_valid_utf8(LINE).alias(RAW)
    return RawLog(
        lines.select(kind.alias(KIND), raw, value, *map(quoted, folders)),
        ["value", *folders],
        files,
        is_valid_text=True,
    )


def _filled(lines: DataFrame, log: LogConfig) -> DataFrame:
    """Leave out comments and blank lines."""
    if comment := options_of(log).get("comment"):
        lines = lines.where(~F.col(LINE).startswith(comment))
    return lines.where(F.length(F.trim(LINE)) > 0)


def _parse_csv(line: Column, content: StructType, options: dict[str, str]) -> Column:
    """Parse a row; null for one with more separators than any row has, which Spark's parser would not survive."""
    separator = separator_of(options)
    sealed = F.concat(line, F.lit(separator), F.lit("."))
    ddl = [f"{quoted(field.name)} {field.dataType.simpleString()}" for field in content]
    schema = ", ".join([*ddl, f"{_SEAL} STRING", f"{CORRUPT} STRING"])

    def parsed(most_fields: int) -> Column:
        return F.from_csv(sealed, schema, {**options, **READER_OPTIONS, "maxColumns": str(most_fields)})

    usual = max(USUAL_FIELDS, len(content) + 2)
    separators = F.length(line) - F.length(F.replace(line, F.lit(separator), F.lit("")))
    fits = separators < MOST_FIELDS * len(separator) - 2
    return F.when(F.octet_length(line) < usual - 2, parsed(usual)).when(fits, parsed(MOST_FIELDS))


def _is_text(data_type: DataType) -> bool:
    """Return True if all values in a type are text."""
    if isinstance(data_type, StructType):
        return all(_is_text(field.dataType) for field in data_type)
    if isinstance(data_type, ArrayType):
        return _is_text(data_type.elementType)
    return isinstance(data_type, StringType)


def _with_quoted_numbers(line: Column, log: LogConfig) -> Column:
    """Put the numbers of a JSON line in quotes, if some are no plain integers: Spark would write 1.10 anew, as 1.1.

    Integers alone are a reason, too, if they may have leading zeros.

    For example, {"id": 1e5, "at": "at 1.5"} becomes {"id": "1e5", "at": "at 1.5"}.
    """
    comments = _COMMENTS if is_true(log, "allowcomments") else ""
    quoted_numbers = F.regexp_replace(line, _NUMBER.replace("COMMENTS", comments), '$1"$2"')
    return (
        quoted_numbers
        if is_true(log, "allownumericleadingzeros")
        else F.when(line.rlike(_FLOAT), quoted_numbers).otherwise(line)
    )


def _raw_log(parsed: DataFrame, kind: Column, raw: Column, schema: StructType, parent: str, files: LogFiles) -> RawLog:
    """Select the columns of the struct `parent`, and add those of the folders."""
    own = [F.col(f"{parent}.{quoted(name)}").alias(name) for name in schema.names]
    rows = parsed.select(kind.alias(KIND), raw.alias(RAW), *own, *([F.col(FILE)] if files.folder_columns else []))
    rows = with_folder_columns(rows, files).drop(FILE)
    columns = [column for column in rows.columns if column not in (KIND, RAW)]
    return RawLog(rows, columns, files, is_valid_text=True)
