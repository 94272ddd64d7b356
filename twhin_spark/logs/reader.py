"""Reading of a log: every row in the columns of its files, with its raw text, and marked if it is malformed."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import CharType, StructField, StructType, VarcharType

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.locations import is_uri
from twhin_spark.logs.file_heads import FileHeads
from twhin_spark.logs.files import LogFile, LogFiles, local_path, log_files, spark_path
from twhin_spark.logs.lines import read_csv_lines, read_json_lines, read_text_lines
from twhin_spark.logs.listing import HadoopLister, is_hidden, is_utf8
from twhin_spark.logs.merging import ColumnNames, merge_tables
from twhin_spark.logs.parquet import read_parquet
from twhin_spark.logs.raw_log import (
    KIND,
    RAW,
    RawLog,
    encoding_of,
    is_true,
    lacking_columns,
    options_of,
    quoted,
    with_json,
)
from twhin_spark.logs.reader_options import check_options
from twhin_spark.logs.row_texts import check_sizes
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
    check_options(spark, name, log)
    _check_encoding(spark, name, log)
    try:
        if log.format == "delta":
            return _read_delta(spark, log)
        files = _spark_files(spark, name, log)
        if not files.read:
            return RawLog(spark.createDataFrame([], f"{KIND} STRING, {RAW} STRING"), [], files)
        if log.format == "parquet":
            return read_parquet(spark, name, log, files, declared)
        check_sizes(name, log, files)
        heads = FileHeads(spark, name)
        heads.check_bzip2(files.locations)
        if not (log.format == "csv" and is_true(log, "header")):  # whose first lines are read anyway
            heads.check_format(files.locations)
        if log.format == "text":
            return read_text_lines(spark, log, files)
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
    if not is_utf8(file.location) and not is_uri(file.location):
        file_name = file_name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    elif not (is_hidden(file_name) or (":" in file_name and not is_uri(file.location))):
        return file
    if is_uri(file.location) or not str(spark.sparkContext.master).startswith("local"):
        raise InputError(
            f"logs.{name}.path: Spark does not read {file.location}, as its name has a colon, is not UTF-8, or begins "
            "with _ or a dot; rename the file"
        )
    folder = Path(tempfile.mkdtemp(prefix="twhin-spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = folder / f"named{file_name.replace(':', '_')}"  # with the suffix, which names the compression
    link.symlink_to(file.location)
    return replace(file, location=str(link))


def _read_delta(spark: SparkSession, log: LogConfig) -> RawLog:
    reader, names = spark.read.format("delta").options(**options_of(log)), ColumnNames()
    tables = {path: names.rename(reader.load(spark_path(local_path(path)))) for path in log.path}
    rows, unreadable = merge_tables(tables, None)
    advice = "give tables of other types a log of their own"
    unreadable = {column: f"{reason.partition('; ')[0]}; {advice}" for column, reason in unreadable.items()}
    columns = [column for column in rows.columns if column not in (KIND, RAW)]
    lacking = lacking_columns((table.columns, [path]) for path, table in tables.items())
    return RawLog(rows, columns, LogFiles(), unreadable, lacking)


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
    if not isinstance(schema, StructType):
        return StructType([StructField("value", schema)])
    words = [column.lower() for column in schema.names]
    if twice := next((column for column in schema.names if words.count(column.lower()) > 1), None):
        raise ConfigError(f"logs.{name}.columns is '{log.columns}', but must name '{twice}' once")
    if fixed := next((field for field in schema if isinstance(field.dataType, (CharType, VarcharType))), None):
        raise ConfigError(f"logs.{name}.columns gives '{fixed.name}' a length; text of any length is STRING")
    return schema
