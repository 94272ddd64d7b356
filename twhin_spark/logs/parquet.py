"""Reading of Parquet logs, whose files may have different columns and types.

Files with the same columns and types are read together, and the groups are merged by the names of the columns: what a
file does not have is null there. A column of several types becomes

- BIGINT, if all are integers: of INT in one file and BIGINT in another;
- DOUBLE, if all are floating-point numbers;
- TIMESTAMP, if all are timestamps; those of nanoseconds are rounded down to microseconds;
- STRING, if all are STRING or BINARY;
- the type that `columns` gives it.

Any other mixture, or a type that Spark does not have, makes the column unreadable, which matters only if it is used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.logs.files import LogFiles
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
_FAMILIES: list[tuple[tuple[type[T.DataType], ...], str]] = [
    ((T.ByteType, T.ShortType, T.IntegerType, T.LongType), "bigint"),
    ((T.FloatType, T.DoubleType), "double"),
    ((T.TimestampType, T.TimestampNTZType), "timestamp"),
    ((T.StringType, T.BinaryType), "string"),
]


def read_parquet(
    spark: SparkSession, name: str, log: LogConfig, files: LogFiles, declared: T.StructType | None
) -> RawLog:
    groups = _groups(name, files)
    names = _Names([] if declared is None else declared.names)
    read = {locations[0]: names.rename(_read_group(spark, log, schema, locations)) for schema, locations in groups}
    types = _types_by_column(read)
    unreadable = _conflicts(types)
    for schema, locations in groups:
        alike = alike_names(schema.names)
        unreadable |= alike
        for field in schema:
            if field.name not in alike and names.of(field.name) not in read[locations[0]].columns:
                unreadable[names.of(field.name)] = (
                    f"column {field.name} of {locations[0]} is of the type {field.type}, unknown to Spark"
                )
    wanted = {column: _common_type(by_file.values()) for column, by_file in types.items()}
    if declared is not None:
        wanted = {field.name: field.dataType.simpleString() for field in declared}
        unreadable = {column: reason for column, reason in unreadable.items() if column not in types}
    casts = {column: data_type for column, data_type in wanted.items() if data_type is not None}
    try:
        converted = [_convert(rows, casts) for rows in read.values()]
    except REFUSALS as error:
        raise ConfigError(
            f"logs.{name}.columns is '{log.columns}', but must have types that those of the files can be cast to; "
            f"Spark says: {one_line(error)}"
        ) from None
    rows = with_folder_columns(reduce(DataFrame.unionByName, converted), files)
    columns = [column for column in rows.columns if column not in (KIND, RAW, FILE)]
    lacking = lacking_columns((list(map(names.of, schema.names)), locations) for schema, locations in groups)
    return RawLog(rows.select(KIND, RAW, *map(quoted, columns)), columns, files, unreadable, lacking)


class _Names:
    """One spelling for each column, however the files spell it: that of `columns`, or of the first file."""

    def __init__(self, declared: Iterable[str]) -> None:
        self._by_lower = {name.lower(): name for name in declared}

    def of(self, column: str) -> str:
        return self._by_lower.setdefault(column.lower(), column)

    def rename(self, rows: DataFrame) -> DataFrame:
        return rows.select(*[F.col(quoted(column)).alias(self.of(column)) for column in rows.columns])


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
        return pq.read_schema(path, filesystem=filesystem).remove_metadata()
    except pa.ArrowInvalid as error:
        raise InputError(
            f"logs.{name}.path: {location} is not a Parquet file: {str(error).splitlines()[0]}; remove the file or "
            "write it again"
        ) from None


def _read_group(spark: SparkSession, log: LogConfig, schema: pa.Schema, locations: list[str]) -> DataFrame:
    """Read files of the same columns and types, without the columns that Spark cannot read."""
    with spark_setting(spark, "spark.sql.legacy.parquet.nanosAsLong", "true"):
        try:
            rows = reader_of(spark, log).parquet(*spark_paths(locations))
        except REFUSALS:
            from pyspark.sql.pandas.types import from_arrow_type

            fields, alike = [], alike_names(schema.names)
            for field in schema:
                if field.name in alike:
                    continue
                try:
                    data_type = from_arrow_type(field.type)
                except Exception:  # of several classes
                    continue
                if not isinstance(data_type, _UNSUPPORTED):
                    fields.append(T.StructField(field.name, data_type))
            rows = reader_of(spark, log).schema(T.StructType(fields)).parquet(*spark_paths(locations))
    columns = [field.name for field in rows.schema if not isinstance(field.dataType, _UNSUPPORTED)]
    rows = with_file(rows)
    nanos = {field.name for field in schema if pa.types.is_timestamp(field.type) and field.type.unit == "ns"}
    own = [_from_nanos(column) if column in nanos else F.col(quoted(column)) for column in columns]
    return rows.select(*own, FILE)


def _from_nanos(column: str) -> Column:
    nanos = F.col(quoted(column))
    micros = F.call_function("div", nanos - F.pmod(nanos, F.lit(_NANOS_PER_MICRO)), F.lit(_NANOS_PER_MICRO))
    return F.timestamp_micros(micros).alias(column)


def _types_by_column(read: Mapping[str, DataFrame]) -> dict[str, dict[str, T.DataType]]:
    """Return the types of each column by the first file that has it so."""
    types: dict[str, dict[str, T.DataType]] = {}
    for location, rows in read.items():
        for field in rows.schema:
            if field.name != FILE:
                types.setdefault(field.name, {})[location] = field.dataType
    return types


def _common_type(types: Collection[T.DataType]) -> str | None:
    names = {data_type.simpleString() for data_type in types}
    if len(names) == 1:
        return names.pop()
    return next((name for family, name in _FAMILIES if all(isinstance(t, family) for t in types)), None)


def _conflicts(types: Mapping[str, Mapping[str, T.DataType]]) -> dict[str, str]:
    """Return the columns whose types do not go together, with the reason."""
    conflicts = {}
    for column, by_file in types.items():
        if _common_type(by_file.values()) is None:
            places = " and ".join(f"{data_type.simpleString()} in {file}" for file, data_type in by_file.items())
            conflicts[column] = f"column {column} is {places}; give its type in columns, such as '{column} STRING'"
    return conflicts


def _convert(rows: DataFrame, wanted: Mapping[str, str]) -> DataFrame:
    """Add KIND and RAW, and convert to the wanted columns; a value that cannot be converted makes its row malformed."""
    types = {field.name: field.dataType.simpleString() for field in rows.schema if field.name != FILE}
    values, malformed = [], F.lit(False)
    for column, data_type in wanted.items():
        value = F.col(quoted(column)) if column in types else F.lit(None)
        if types.get(column) != data_type:
            cast = value.cast(data_type)
            malformed = malformed | (value.isNotNull() & cast.isNull())
            value = cast
        values.append(value.alias(column))
    raw = F.to_json(F.struct(*map(quoted, types))) if types else F.lit("{}")
    kind = F.when(malformed, "malformed").otherwise("row")
    return rows.select(kind.alias(KIND), F.make_valid_utf8(raw).alias(RAW), *values, FILE)
