"""Reading of logs whose rows are lines: CSV, JSON and text.

Each line is parsed by itself, so that the quarantine gets it as it was written and so that it can be sealed: a field
or a brace of our own is added behind its end before it is parsed. A line that is broken swallows the seal:

    like,u1,"i1         becomes   like,u1,"i1,.            the open quote takes the last field, so one is missing
    {"a": 1} {"a": 2}   becomes   {"object":{"a": 1} {"a": 2}}    not valid JSON

Without the seal, Spark would take the first line as u1, i1 and the second as a = 1.
"""

from __future__ import annotations

from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType, StructField, StructType

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import InputError
from twhin_spark.logs.files import LogFiles
from twhin_spark.logs.raw_log import (
    CORRUPT,
    FILE,
    KIND,
    RAW,
    READER_OPTIONS,
    RawLog,
    encoding_of,
    file_reader,
    is_true,
    options_of,
    quoted,
    reader_of,
    spark_paths,
    with_file,
    with_folder_columns,
)
from twhin_spark.tables.session_settings import spark_setting

_LINE, _VALID, _PARSED, _SEAL = "__line", "__valid", "__parsed", "__seal"
_FLOAT = r"[0-9](\.[0-9]|[eE])"
# Anything but numbers and strings, whole strings, then a number. The quantifiers are possessive, as Java would
# recurse for others and overflow its stack on a long line.
_NUMBER = r'\G((?:[^"0-9-]++|"(?:[^"\\]++|\\.)*+")*+)(-?[0-9][0-9.eE+-]*+)'
_REPLACEMENT = "\ufffd"  # what a decoder writes for bytes that are not of its encoding


def read_csv_lines(
    spark: SparkSession, name: str, log: LogConfig, files: LogFiles, schema: StructType | None
) -> RawLog:
    lines = _filled(_text(spark, log, files.locations), log)
    options = options_of(log)
    has_names = is_true(log, "header")
    first = _first_line(spark, name, log, files) if has_names or schema is None else None
    names = schema.names if schema is not None else _csv_names(spark, log, first)
    content = StructType([StructField(name, StringType()) for name in names]) if schema is None else schema
    as_text = StructType([StructField(name, StringType()) for name in names])
    parsed = lines.withColumn(_PARSED, _parse_csv(F.col(_LINE), content, options))
    malformed = F.col(f"{_PARSED}.{CORRUPT}").isNotNull() | ~F.col(_VALID)
    kind = F.when(malformed, "malformed").otherwise("row")
    raw: Column = F.make_valid_utf8(_LINE)
    if has_names and first is not None:
        is_header = F.col(_LINE) == first
        if len(files.read) > 1:  # another file may write the same names in another way
            fields = F.col(_PARSED) if schema is None else _parse_csv(F.col(_LINE), as_text, options)
            is_header = is_header | _same_fields(fields, _parse_csv(F.lit(first), as_text, options), names)
        kind = F.when(is_header, "header").otherwise(kind)
        raw = F.when(is_header, F.col(FILE)).otherwise(raw)
    return _raw_log(parsed, kind, raw, content, _PARSED, files)


def read_json_lines(spark: SparkSession, log: LogConfig, files: LogFiles, schema: StructType | None) -> RawLog:
    lines = _filled(_text(spark, log, files.locations), log)
    options = {**options_of(log), **READER_OPTIONS}
    if schema is None:
        if encoding_of(log) is None:
            inferred = reader_of(spark, log).options(**READER_OPTIONS).json(spark_paths(files.locations))
        else:
            inferred = spark.read.options(**{**options, "encoding": "UTF-8"}).json(lines.select(_LINE))
        schema = StructType([StructField(f.name, f.dataType) for f in inferred.drop(CORRUPT).schema])
    # Without any key to read, from_json still requires a field; no line can have this one.
    content = schema if len(schema) else StructType([StructField(_SEAL, StringType())])
    all_text = _is_text(schema)
    line = _with_quoted_numbers(F.col(_LINE)) if all_text else F.col(_LINE)
    # An extra brace would close the outer object before its seal.
    sealed = F.concat(F.lit('{"object":'), line, F.lit(f',"{_SEAL}":"."}}'))
    fields = StructType([StructField("object", content), *(StructField(n, StringType()) for n in (_SEAL, CORRUPT))])
    parsed = lines.withColumn(_PARSED, F.from_json(sealed, fields, {**options, "encoding": "UTF-8"}))
    unsealed = F.col(f"{_PARSED}.object").isNull() | F.col(f"{_PARSED}.{_SEAL}").isNull()
    broken = F.col(f"{_PARSED}.{CORRUPT}").isNotNull() | unsealed | ~F.col(_VALID)
    kind = F.when(broken, "malformed").otherwise("row")
    raw = _raw_log(parsed, kind, F.make_valid_utf8(_LINE), schema, f"{_PARSED}.object", files)
    return RawLog(raw.rows, raw.columns, files, is_valid_text=True, rewrites_numbers=not all_text)


def read_text_lines(spark: SparkSession, log: LogConfig, files: LogFiles) -> RawLog:
    lines = with_folder_columns(_text(spark, log, files.locations), files)
    kind = F.when(F.col(_VALID), "row").otherwise("malformed")
    folders = [column for column in files.folder_columns if column != "value"]
    value, raw = F.col(_LINE).alias("value"), F.make_valid_utf8(_LINE).alias(RAW)
    return RawLog(
        lines.select(kind.alias(KIND), raw, value, *map(quoted, folders)),
        ["value", *folders],
        files,
        is_valid_text=True,
    )


def check_headers(spark: SparkSession, name: str, log: LogConfig, files: LogFiles, headed: set[str]) -> None:
    """Raise InputError if one of the files has rows, but not the header that the `headed` ones (URIs) have."""
    jvm = spark._jvm
    assert jvm is not None
    for location, path in zip(files.locations, spark_paths(files.locations), strict=True):
        if jvm.org.apache.hadoop.fs.Path(path).toUri().toString() in headed:
            continue
        lines = _filled(_text(spark, log, [location]), log).select(F.make_valid_utf8(_LINE))
        if (first := lines.first()) is not None:
            raise InputError(
                f"logs.{name}.path: {location} begins with '{first[0][:200]}', which is not the header of the other "
                "files; give files with other columns a log of their own, or set options.header: false"
            )


def has_header(log: LogConfig) -> bool:
    return log.format == "csv" and is_true(log, "header") and not is_true(log, "multiline")


def is_wide(encoding: str | None) -> bool:
    """Return True for an encoding in which a line break has several bytes."""
    return encoding is not None and encoding.upper().replace("_", "-").startswith(
        ("UTF-16", "UTF-32", "UTF16", "UTF32")
    )


def _text(spark: SparkSession, log: LogConfig, locations: list[str]) -> DataFrame:
    """Read lines: `_LINE`, FILE, and `_VALID`, which is false if a line's bytes are not of the encoding."""
    encoding, paths = encoding_of(log), spark_paths(locations)
    options = {name: value for name, value in options_of(log).items() if name == "linesep"}
    text = file_reader(spark).options(**options).format("text")
    if encoding is None:
        lines = with_file(text.load(paths)).withColumnRenamed("value", _LINE)
        return lines.select(_LINE, FILE, F.is_valid_utf8(_LINE).alias(_VALID))
    with spark_setting(spark, "spark.sql.legacy.codingErrorAction", "true"):  # else one bad byte ends the job
        if is_wide(encoding):  # the text reader would look for line breaks of one byte
            binary = file_reader(spark).format("binaryFile").load(paths)
            content = F.regexp_replace(F.decode("content", encoding), r"^\ufeff|\r?\n\z", "")
            lines = with_file(binary).select(F.explode(F.split(content, r"\r\n|\n|\r")).alias(_LINE), FILE)
        else:
            line = F.decode(F.col("value").cast("binary"), encoding)
            lines = with_file(text.load(paths)).select(line.alias(_LINE), FILE)
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


def _same_fields(fields: Column, header: Column, names: list[str]) -> Column:
    """Return a condition: the fields of a line are the names of the header, whatever their quotes, case and spaces."""

    def word(parsed: Column, name: str) -> Column:
        return F.lower(F.btrim(parsed.getField(name), F.lit("\ufeff \t")))

    same = [word(fields, name).eqNullSafe(word(header, name)) for name in names]
    return reduce(and_, same, fields.getField(CORRUPT).isNull() if names else F.lit(False))


def _first_line(spark: SparkSession, name: str, log: LogConfig, files: LogFiles) -> str | None:
    """Return the first line of the first file that has one."""
    for location in files.locations:
        first = _filled(_text(spark, log, [location]), log).select(F.make_valid_utf8(_LINE), _VALID).first()
        if first is not None and not first[_VALID]:
            raise InputError(
                f"logs.{name}.path: the first line of {location} is not text in {encoding_of(log) or 'UTF-8'}; set "
                "options.encoding to the encoding of the file, such as UTF-16 or ISO-8859-1"
            )
        if first is not None:
            return str(first[0])
    return None


def _csv_names(spark: SparkSession, log: LogConfig, first: str | None) -> list[str]:
    """Return the names that Spark gives the columns of a file with this first line."""
    if first is None:
        return []
    options = {name: text for name, text in options_of(log).items() if name not in ("encoding", "charset", "comment")}
    return spark.read.options(**options).csv(spark.createDataFrame([(first,)], "value STRING")).columns


def _is_text(data_type: DataType) -> bool:
    """Return True if all values in a type are text."""
    if isinstance(data_type, StructType):
        return all(_is_text(field.dataType) for field in data_type)
    if isinstance(data_type, ArrayType):
        return _is_text(data_type.elementType)
    return isinstance(data_type, StringType)


def _with_quoted_numbers(line: Column) -> Column:
    """Put the numbers of a JSON line in quotes, if some are no plain integers: Spark would write 1.10 anew, as 1.1.

    For example, {"id": 1e5, "at": "at 1.5"} becomes {"id": "1e5", "at": "at 1.5"}.
    """
    return F.when(line.rlike(_FLOAT), F.regexp_replace(line, _NUMBER, '$1"$2"')).otherwise(line)


def _raw_log(parsed: DataFrame, kind: Column, raw: Column, schema: StructType, parent: str, files: LogFiles) -> RawLog:
    """Select the columns of the struct `parent`, and add those of the folders."""
    folders = files.folder_columns
    own = [F.col(f"{parent}.{quoted(f.name)}").alias(f.name) for f in schema if f.name not in folders]
    rows = parsed.select(kind.alias(KIND), raw.alias(RAW), *own, FILE)
    columns = [*[f.name for f in schema if f.name not in folders], *folders]
    rows = with_folder_columns(rows, files).select(KIND, RAW, *map(quoted, columns))
    return RawLog(rows, columns, files, is_valid_text=True)
