"""Merging of tables by the names of their columns: of Parquet files, or of several Delta tables.

What a table does not have is null in its rows. A column of several types becomes

- BIGINT, if all are integers: of INT in one table and BIGINT in another; DECIMAL(38,0), if some are whole decimals;
- DOUBLE, if all are floating-point numbers;
- TIMESTAMP, if all are timestamps;
- STRING, if all are STRING or BINARY;
- a STRUCT, an ARRAY or a MAP, if all are such, and if their fields, elements, keys and values go together likewise; the
  fields are found by name, in whatever order;
- the type that `columns` gives it.

Any other mixture makes the column unreadable, which matters only if it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.logs.raw_log import FILE, KIND, RAW, quoted

_MAX_WHOLE = 2.0**53  # up to here a double holds every whole number
_INTEGERS = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
_FAMILIES: list[tuple[tuple[type[T.DataType], ...], T.DataType]] = [
    (_INTEGERS, T.LongType()),
    ((T.FloatType, T.DoubleType), T.DoubleType()),
    ((T.TimestampType, T.TimestampNTZType), T.TimestampType()),
    ((T.StringType, T.BinaryType), T.StringType()),
]


class ColumnNames:
    """One spelling for each column, however the tables spell it: that of `columns`, or of the first table."""

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self._by_lower = {name.lower(): name for name in declared}

    def of(self, column: str) -> str:
        return self._by_lower.setdefault(column.lower(), column)

    def rename(self, rows: DataFrame) -> DataFrame:
        return rows.select(*[F.col(quoted(column)).alias(self.of(column)) for column in rows.columns])


def merge_tables(tables: Mapping[str, DataFrame], declared: T.StructType | None) -> tuple[DataFrame, dict[str, str]]:
    """Put the rows of some tables together.

    Parameters
    ----------
    tables
        Rows by the name under which an error names their table; with FILE or without it, and with one spelling for
        each column.
    declared
        The columns that are wanted, with their types; None: all.

    Returns
    -------
    tuple[DataFrame, dict[str, str]]
        The rows with KIND and RAW, and the columns that cannot be read, with the reason. A row with a value that does
        not fit a declared type is malformed.
    """
    types = _types_by_column(tables)
    conflicts: dict[str, str] = {}
    if declared is not None:
        wanted = {field.name: field.dataType for field in declared}
    else:
        common = {column: common_type(by_table.values()) for column, by_table in types.items()}
        wanted = {column: data_type for column, data_type in common.items() if data_type is not None}
        conflicts = {column: _conflict(column, types[column]) for column in types if column not in wanted}
    converted = [_convert(rows, wanted) for rows in tables.values()]
    return reduce(DataFrame.unionByName, converted), conflicts


def common_type(types: Iterable[T.DataType]) -> T.DataType | None:
    """Return the type that holds the values of all these types as they are, or None."""
    distinct = {data_type.simpleString(): data_type for data_type in types}
    known = [data_type for data_type in distinct.values() if not isinstance(data_type, T.NullType)]
    if len(known) <= 1:
        return next(iter(known or distinct.values()))
    if all(isinstance(data_type, T.StructType) for data_type in known):
        return _common_struct(known)
    if all(isinstance(data_type, T.ArrayType) for data_type in known):
        element = common_type(data_type.elementType for data_type in known)  # type: ignore[attr-defined]
        return None if element is None else T.ArrayType(element)
    if all(isinstance(data_type, T.MapType) for data_type in known):
        key = common_type(data_type.keyType for data_type in known)  # type: ignore[attr-defined]
        value = common_type(data_type.valueType for data_type in known)  # type: ignore[attr-defined]
        return None if key is None or value is None else T.MapType(key, value)
    if all(isinstance(t, _INTEGERS) or (isinstance(t, T.DecimalType) and t.scale == 0) for t in known):
        all_integers = all(isinstance(data_type, _INTEGERS) for data_type in known)
        return T.LongType() if all_integers else T.DecimalType(38, 0)
    return next((name for family, name in _FAMILIES if all(isinstance(t, family) for t in known)), None)


def _common_struct(types: Iterable[T.DataType]) -> T.DataType | None:
    names = ColumnNames()
    fields: dict[str, list[T.DataType]] = {}
    for data_type in types:
        for field in data_type:  # type: ignore[attr-defined]
            fields.setdefault(names.of(field.name), []).append(field.dataType)
    common = {name: common_type(of_field) for name, of_field in fields.items()}
    if any(data_type is None for data_type in common.values()):
        return None
    return T.StructType([T.StructField(name, data_type) for name, data_type in common.items() if data_type is not None])


def _types_by_column(tables: Mapping[str, DataFrame]) -> dict[str, dict[str, T.DataType]]:
    """Return the types of each column by the first table that has it so."""
    types: dict[str, dict[str, T.DataType]] = {}
    for name, rows in tables.items():
        for field in rows.schema:
            if field.name != FILE:
                types.setdefault(field.name, {})[name] = field.dataType
    return types


def _conflict(column: str, by_table: Mapping[str, T.DataType]) -> str:
    places = " and ".join(f"{data_type.simpleString()} in {name}" for name, data_type in by_table.items())
    return f"column {column} is {places}; give its type in columns, such as '{column} STRING'"


def _convert(rows: DataFrame, wanted: Mapping[str, T.DataType]) -> DataFrame:
    """Add KIND and RAW, and convert to the wanted columns; a value that cannot be converted makes its row malformed."""
    types = {field.name: field.dataType for field in rows.schema if field.name != FILE}
    values, malformed = [], F.lit(False)
    for column, data_type in wanted.items():
        value = F.col(quoted(column)) if column in types else F.lit(None)
        own = types.get(column, T.NullType())
        if own.simpleString() != data_type.simpleString():
            converted = _as_type(value, own, data_type)
            is_given = ~F.isnan(value) if isinstance(own, (T.FloatType, T.DoubleType)) else F.lit(True)
            malformed = malformed | (value.isNotNull() & is_given & converted.isNull())
            value = converted
        values.append(value.alias(column))
    raw = F.to_json(F.struct(*map(quoted, types))) if types else F.lit("{}")
    kind = F.when(malformed, "malformed").otherwise("row")
    file = [FILE] if FILE in rows.columns else []
    return rows.select(kind.alias(KIND), F.make_valid_utf8(raw).alias(RAW), *values, *file)


def _as_type(value: Column, own: T.DataType, wanted: T.DataType) -> Column:
    """Convert a value. A cast would take the fields of a struct by position, and write the number 7 as 7.0."""
    if own.simpleString() == wanted.simpleString():
        return value
    if isinstance(own, T.StructType) and isinstance(wanted, T.StructType):
        fields = {field.name.lower(): field for field in own}
        inner = []
        for field in wanted:
            part = F.lit(None).cast(field.dataType)
            if field.name.lower() in fields:
                of_own = fields[field.name.lower()]
                part = _as_type(value.getField(of_own.name), of_own.dataType, field.dataType)
            inner.append(part.alias(field.name))
        return F.when(value.isNotNull(), F.struct(*inner))
    if isinstance(own, T.ArrayType) and isinstance(wanted, T.ArrayType):
        elements, to_elements = own.elementType, wanted.elementType
        return F.transform(value, lambda element: _as_type(element, elements, to_elements))
    if isinstance(own, T.MapType) and isinstance(wanted, T.MapType):
        keys, items, to_keys, to_items = own.keyType, own.valueType, wanted.keyType, wanted.valueType
        renamed = F.transform_keys(value, lambda key, _: _as_type(key, keys, to_keys))
        return F.transform_values(renamed, lambda _, item: _as_type(item, items, to_items))
    if isinstance(own, (T.FloatType, T.DoubleType)) and isinstance(wanted, T.StringType):
        is_whole = (F.floor(value) == value) & (F.abs(value) <= _MAX_WHOLE)
        whole = F.when(is_whole, value.cast("bigint").cast("string")).otherwise(value.cast("string"))
        return F.when(~F.isnan(value), whole)
    return value.cast(wanted)
