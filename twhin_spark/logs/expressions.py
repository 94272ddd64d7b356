"""Checks a log's Spark SQL expressions, each by itself, so that an error names the one that is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.config.sections import Log
from twhin_spark.errors import ConfigError
from twhin_spark.logs.failures import REFUSALS, one_line
from twhin_spark.logs.sources import RawLog, quoted

# What a field may be made of. VOID is the type of a bare NULL.
_NUMBERS = (T.NumericType, T.StringType, T.NullType)
_TIMES = (*_NUMBERS, T.TimestampType, T.TimestampNTZType, T.DateType)
_NAMES = (*_TIMES, T.BooleanType, T.BinaryType)
_ALLOWED: dict[str, tuple[tuple[type[T.DataType], ...], str]] = {
    "select.weight": (_NUMBERS, "a number, or text that holds one"),
    "select.timestamp": (_TIMES, "a timestamp, a date, ISO 8601 text or Unix seconds"),
    "where": ((T.BooleanType, T.NullType), "a condition (boolean)"),
}


@dataclass(frozen=True)
class Expressions:
    """The select list of a log by field, and its condition; every one of them makes one column of a fitting type."""

    fields: dict[str, str]
    types: dict[str, T.DataType]
    where: str | None
    multiplies: bool  # one of the fields is a generator: a row may yield none, one or many

    def column(self, field: str) -> Column:
        return F.expr(self.fields[field])


def check_expressions(raw: RawLog, name: str, log: Log) -> Expressions:
    """The log's expressions, checked against the raw columns.

    A log without any columns has no rows that they could be checked against, and passes.

    Raises ConfigError with one line for each expression that Spark refuses, or that has a type that is of no use.
    """
    fields = {field: text for field, text in log.select.model_dump().items() if text is not None}
    if not raw.columns:
        return Expressions(dict.fromkeys(fields, "NULL"), dict.fromkeys(fields, T.NullType()), None, False)
    rows = raw.rows.select(*[quoted(column) for column in raw.columns])
    wanted = {f"select.{field}": text for field, text in fields.items()}
    if log.where is not None:
        wanted["where"] = log.where
    types = _types(rows, wanted)
    if types is None:  # one of them is wrong, or they do not go together: each by itself tells more
        problems = [_problem(rows, path, text) for path, text in wanted.items()]
        found = [f"logs.{name}.{problem}" for problem in problems if problem is not None]
        raise ConfigError("\n".join(found) or f"logs.{name}.select: found two generators; allowed: one explode(...)")
    wrong = [_wrong_type(path, wanted[path], found) for path, found in types.items()]
    if problems := [problem for problem in wrong if problem is not None]:
        raise ConfigError("\n".join(f"logs.{name}.{problem}" for problem in problems))
    types_by_field = {path.removeprefix("select."): found for path, found in types.items()}
    return Expressions(fields, types_by_field, log.where, _has_generator(rows, list(fields.values())))


def _types(rows: DataFrame, wanted: dict[str, str]) -> dict[str, T.DataType] | None:
    """The type of each expression; None where Spark refuses them, or where one is not one column."""
    try:
        # Beside the raw columns, as an aggregate by itself would pass.
        schema = rows.select("*", *[F.expr(text) for text in wanted.values()]).schema
    except REFUSALS:
        return None
    found = [field.dataType for field in schema.fields[len(rows.columns) :]]
    return dict(zip(wanted, found, strict=True)) if len(found) == len(wanted) else None


def _problem(rows: DataFrame, path: str, text: str) -> str | None:
    """What is wrong with an expression, looked at by itself."""
    allowed = f"allowed: a Spark SQL expression over the columns {', '.join(rows.columns)}"
    try:
        schema = rows.select("*", F.expr(text)).schema
    except REFUSALS as error:
        return f"{path}: found '{text}'; {allowed}; Spark says: {one_line(error)}"
    count = len(schema) - len(rows.columns)
    return None if count == 1 else f"{path}: found '{text}', which makes {count} columns; allowed: one"


def _wrong_type(path: str, text: str, found: T.DataType) -> str | None:
    allowed, words = _ALLOWED.get(path, (_NAMES, "text, or a value that is written as text"))
    if isinstance(found, allowed):
        return None
    return f"{path}: found '{text}', which is of type {found.simpleString()}; allowed: {words}"


def _has_generator(rows: DataFrame, texts: list[str]) -> bool:
    """Whether one of the expressions is like explode(...), which cannot be part of another."""
    try:
        rows.select(*[F.expr(text).isNull() for text in texts])
    except AnalysisException as error:
        if (error.getCondition() or "").startswith("UNSUPPORTED_GENERATOR"):
            return True
        raise
    return False
