"""Reading of Parquet logs, whose files may have different columns and types.

Files with the same columns and types are read together, and `merging` puts the groups together by the names of their
columns. Timestamps of nanoseconds are rounded down to microseconds, and UUIDs are text. A type that Spark does not have
makes the column unreadable, which matters only if it is used.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.logs.files import LogFiles
from twhin_spark.logs.merging import ColumnNames, merge_tables
from twhin_spark.logs.raw_log import (
    FILE,
    KIND,
    RAW,
    RawLog,
    alike_names,
    lacking_columns,
    quoted,
    reader_of,
    spark_paths,
    with_file,
    with_folder_columns,
)
from twhin_spark.logs.spark_errors import REFUSALS, one_line
from twhin_spark.tables.session_settings import spark_setting

_THREADS = 16
_UNSUPPORTED = (T.TimeType, T.AnsiIntervalType, T.CalendarIntervalType)  # Spark cannot write them as JSON or text
_NANOS_PER_MICRO = 1000
_UUID_PARTS = r"^(.{8})(.{4})(.{4})(.{4})(.{12})$"
# Types of Arrow that Spark has under another name. An unsigned number takes the next larger type.
_ALIASES = {
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.uuid(): pa.binary(),
}


def read_parquet(
    spark: SparkSession, name: str, log: LogConfig, files: LogFiles, declared: T.StructType | None
) -> RawLog:
    groups = _groups(name, files)
    names = ColumnNames([] if declared is None else declared.names)
    read = {locations[0]: names.rename(_read_group(spark, log, schema, locations)) for schema, locations in groups}
    own = [names.of(column) for schema, _ in groups for column in schema.names]
    files = files.besides(own)
    if declared is not None:  # the type of a folder's column is text
        folders = {column.lower() for column in files.folder_columns}
        declared = T.StructType([field for field in declared if field.name.lower() not in folders])
    unreadable: dict[str, str] = {}
    for schema, locations in groups:
        alike = alike_names(schema.names)
        unreadable |= alike
        for field in schema:
            if field.name not in alike and names.of(field.name) not in read[locations[0]].columns:
                unreadable[names.of(field.name)] = (
                    f"column {field.name} of {locations[0]} is of the type {field.type}, unknown to Spark"
                )
    try:
        merged, conflicts = merge_tables(read, declared)
    except REFUSALS as error:
        raise ConfigError(
            f"logs.{name}.columns is '{log.columns}', but must have types that those of the files can be cast to; "
            f"Spark says: {one_line(error)}"
        ) from None
    unreadable |= conflicts
    if declared is not None:
        unreadable = {column: reason for column, reason in unreadable.items() if column not in merged.columns}
    rows = with_folder_columns(merged, files)
    columns = [column for column in rows.columns if column not in (KIND, RAW, FILE)]
    lacking = lacking_columns((list(map(names.of, schema.names)), locations) for schema, locations in groups)
    return RawLog(rows.select(KIND, RAW, *map(quoted, columns)), columns, files, unreadable, lacking)


def _groups(name: str, files: LogFiles) -> list[tuple[pa.Schema, list[str]]]:
    """Group the locations of the files by their columns and types."""
    with ThreadPoolExecutor(_THREADS) as threads:
        schemas = list(threads.map(lambda location: _schema_of(name, location), files.locations))
    groups: dict[frozenset[tuple[str, str]], tuple[pa.Schema, list[str]]] = {}
    for location, schema in zip(files.locations, schemas, strict=True):
        key = frozenset((field.name, str(field.type)) for field in schema)
        groups.setdefault(key, (schema, []))[1].append(location)
    return list(groups.values())


def _schema_of(name: str, location: str) -> pa.Schema:
    filesystem, path = fs.FileSystem.from_uri(location)
    try:
        with filesystem.open_input_file(path) as stream:
            return _with_int96(pq.ParquetFile(stream)).remove_metadata()
    except pa.ArrowInvalid as error:
        raise InputError(
            f"logs.{name}.path: {location} is not a Parquet file: {str(error).splitlines()[0]}; remove the file or "
            "write it again"
        ) from None


def _with_int96(file: pq.ParquetFile) -> pa.Schema:
    """Return the schema of a file, in which timestamps of the old type INT96, which Spark reads, are no nanoseconds."""
    schema, columns = file.schema_arrow, file.schema
    old = {column.path for column in map(columns.column, range(len(columns))) if column.physical_type == "INT96"}
    return pa.schema([field.with_type(pa.timestamp("us")) if field.name in old else field for field in schema])


def _read_group(spark: SparkSession, log: LogConfig, schema: pa.Schema, locations: list[str]) -> DataFrame:
    """Read files of the same columns and types, without the columns that Spark cannot read."""
    with spark_setting(spark, "spark.sql.legacy.parquet.nanosAsLong", "true"):
        try:
            rows = reader_of(spark, log).parquet(*spark_paths(locations))
        except REFUSALS:
            alike = alike_names(schema.names)
            types = {field.name: _spark_type(field.type) for field in schema if field.name not in alike}
            fields = [T.StructField(name, data_type) for name, data_type in types.items() if data_type is not None]
            rows = reader_of(spark, log).schema(T.StructType(fields)).parquet(*spark_paths(locations))
    fields = [field for field in rows.schema if not isinstance(field.dataType, _UNSUPPORTED)]
    arrow = {field.name: field.type for field in schema}
    return with_file(rows).select(*[_as_spark_value(field, arrow[field.name]) for field in fields], FILE)


def _spark_type(data_type: pa.DataType) -> T.DataType | None:
    """Return Spark's type for a type of Arrow, None if it has none."""
    from pyspark.sql.pandas.types import from_arrow_type

    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    if "timestamp[ns" in str(data_type):  # a number, as of `nanosAsLong`
        return T.LongType() if pa.types.is_timestamp(data_type) else None
    try:
        found = from_arrow_type(_ALIASES.get(data_type, data_type))
    except Exception:  # of several classes
        return None
    return None if isinstance(found, (*_UNSUPPORTED, T.NullType)) else found


def _as_spark_value(field: T.StructField, of_file: pa.DataType) -> Column:
    value = F.col(quoted(field.name))
    is_nanos = pa.types.is_timestamp(of_file) and of_file.unit == "ns"
    if is_nanos:
        return _from_nanos(field.name)
    if isinstance(of_file, pa.UuidType):
        return F.regexp_replace(F.lower(F.hex(value)), _UUID_PARTS, "$1-$2-$3-$4-$5").alias(field.name)
    return value


def _from_nanos(column: str) -> Column:
    nanos = F.col(quoted(column))
    micros = F.call_function("div", nanos - F.pmod(nanos, F.lit(_NANOS_PER_MICRO)), F.lit(_NANOS_PER_MICRO))
    return F.timestamp_micros(micros).alias(column)
