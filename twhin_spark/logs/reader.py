"""Reading of a log: every row in the columns of its files, with its raw text, and marked if it is malformed."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import reduce
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.locations import is_uri
from twhin_spark.logs.file_heads import FileHeads
from twhin_spark.logs.files import LogFile, LogFiles, local_path, log_files, spark_path
from twhin_spark.logs.headers import HeadedFiles, headed_files
from twhin_spark.logs.lines import inferred_json, read_csv_lines, read_json_lines, read_text_lines
from twhin_spark.logs.listing import HadoopLister, is_hidden
from twhin_spark.logs.parquet import read_parquet
from twhin_spark.logs.raw_log import (
    CORRUPT,
    KIND,
    RAW,
    READER_OPTIONS,
    RawLog,
    encoding_of,
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
    with_json,
)
from twhin_spark.logs.spark_errors import FAILURES, REFUSALS, one_line

__all__ = ["KIND", "RAW", "RawLog", "quoted", "read_log"]


def read_log(spark: SparkSession, name: str, log: LogConfig, dataframe: DataFrame | None = None) -> RawLog:
    """Return the log as a lazy DataFrame: of its files, or of the DataFrame that holds its rows.

    Raises
    ------
    ConfigError
        Spark refuses `columns`.
    InputError
        A path matches no file, Spark cannot open a file, or it refuses the options.
    """
    if dataframe is not None:
        rows = with_json(dataframe)
        return RawLog(rows, [column for column in rows.columns if column not in (KIND, RAW)])
    declared = _declared(spark, name, log)
    _check_encoding(spark, name, log)
    try:
        if log.format == "delta":
            return _read_delta(spark, log)
        files = _spark_files(spark, name, log)
        if not files.read:
            return RawLog(spark.createDataFrame([], f"{KIND} STRING, {RAW} STRING"), [], files)
        if log.format == "parquet":
            return read_parquet(spark, name, log, files, declared)
        FileHeads(spark, name).check_bzip2(files.locations)
        if log.format == "text":
            return read_text_lines(spark, log, files)
        if is_true(log, "multiline"):
            return _read_multiline(spark, name, log, files, declared)
        if log.format == "csv":
            return read_csv_lines(spark, name, log, files, declared)
        return read_json_lines(spark, log, files, declared)
    except FAILURES as error:
        remedy = "check the path, the format and its options"
        if isinstance(error, PySparkException) and error.getCondition() == "COLUMN_ALREADY_EXISTS":
            remedy = f"a row names it twice, so logs.{name}.columns is required, with each name once"
        raise InputError(
            f"logs.{name}.path: cannot read {', '.join(log.path)} as {log.format}: {one_line(error)}; {remedy}"
        ) from None


def _spark_files(spark: SparkSession, name: str, log: LogConfig) -> LogFiles:
    """Find the files of a log. A file whose name Spark would hide, or could not read, is read by a link."""
    files = log_files(name, log, HadoopLister(spark))
    return replace(files, read=tuple(_visible(spark, name, file) for file in files.read))


def _visible(spark: SparkSession, name: str, file: LogFile) -> LogFile:
    file_name = Path(file.location).name
    if not (is_hidden(file_name) or (":" in file_name and not is_uri(file.location))):
        return file
    if is_uri(file.location) or not str(spark.sparkContext.master).startswith("local"):
        raise InputError(
            f"logs.{name}.path: Spark does not read {file.location}, as its name has a colon, or begins with _ or "
            "a dot; rename the file"
        )
    folder = Path(tempfile.mkdtemp(prefix="twhin-spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = folder / f"named{file_name.replace(':', '_')}"
    link.symlink_to(file.location)
    return replace(file, location=str(link))


def _read_delta(spark: SparkSession, log: LogConfig) -> RawLog:
    reader = spark.read.format("delta").options(**options_of(log))
    tables = [reader.load(spark_path(local_path(path))) for path in log.path]
    rows = with_json(reduce(union, tables))
    return RawLog(rows, [column for column in rows.columns if column not in (KIND, RAW)])


def _read_multiline(
    spark: SparkSession, name: str, log: LogConfig, files: LogFiles, declared: StructType | None
) -> RawLog:
    """Read CSV or JSON whose rows may have several lines, file by file."""
    unreadable: dict[str, str] = {}
    if log.format == "csv":
        groups = headed_files(spark, name, log, files, declared)
    else:
        if declared is None:
            reader = reader_of(spark, log).options(**READER_OPTIONS)
            declared, unreadable = inferred_json(spark, lambda: reader.json(spark_paths(files.locations)))
        groups = [HeadedFiles(tuple(files.locations), (), declared)]
    rows = reduce(union, [_read_documents(spark, log, files, group) for group in groups])
    columns = [column for column in rows.columns if column not in (KIND, RAW)]
    lacking = lacking_columns((group.columns.names, group.locations) for group in groups)
    return RawLog(rows, columns, files, unreadable, lacking, nan="NaN" if log.format == "json" else None)


def _read_documents(spark: SparkSession, log: LogConfig, files: LogFiles, group: HeadedFiles) -> DataFrame:
    wanted = StructType([*group.columns.fields, StructField(CORRUPT, StringType())])
    # The headers have been checked; pruned columns would hide rows with too few fields.
    strict = {**READER_OPTIONS, "enforceSchema": "true", "columnPruning": "false"}
    reader = reader_of(spark, log).options(**strict).format(log.format).schema(wanted)
    rows = reader.load(spark_paths(group.locations))
    columns = [F.col(quoted(column)) for column in rows.columns]
    parsed = with_json(with_folder_columns(with_file(rows).select(*columns, "__file"), files))
    if log.format == "csv" and not is_wide(encoding_of(log)):  # bytes of another encoding have become this sign
        kind = F.when(F.contains(RAW, F.lit("\ufffd")), "malformed").otherwise(F.col(KIND))
        parsed = parsed.withColumn(KIND, kind)
    return parsed


def _check_encoding(spark: SparkSession, name: str, log: LogConfig) -> None:
    encoding, jvm = encoding_of(log), spark._jvm
    assert jvm is not None
    try:
        known = encoding is None or jvm.java.nio.charset.Charset.isSupported(encoding)
    except FAILURES:  # not even the form of a name
        known = False
    if not known:
        raise ConfigError(
            f"logs.{name}.options.encoding is '{encoding}', but must be an encoding that Java knows, such as UTF-16, "
            "ISO-8859-1 or windows-1252"
        )


def _declared(spark: SparkSession, name: str, log: LogConfig) -> StructType | None:
    if log.columns is None:
        return None
    try:
        schema = StructType.fromDDL(log.columns)
    except REFUSALS as error:
        raise ConfigError(
            f"logs.{name}.columns is '{log.columns}', but must be Spark DDL such as `id STRING, n INT`; Spark says: "
            f"{one_line(error)}"
        ) from None
    return schema if isinstance(schema, StructType) else StructType([StructField("value", schema)])
