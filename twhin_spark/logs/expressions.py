"""Checks a log's Spark SQL expressions, each by itself, so that an error names the one that is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import ConfigError
from twhin_spark.logs.reader import RawLog, quoted
from twhin_spark.logs.spark_errors import REFUSALS, one_line

# What a field may be made of. VOID is the type of a bare NULL.
_NUMBERS = (T.NumericType, T.StringType, T.NullType)
_TIMES = (*_NUMBERS, T.TimestampType, T.TimestampNTZType, T.DateType)
_NAMES = (*_TIMES, T.BooleanType, T.BinaryType)
_ALLOWED: dict[str, tuple[tuple[type[T.DataType], ...], str]] = {
    "select.weight": (_NUMBERS, "a number, or text that holds one"),
    "select.timestamp": (_TIMES, "a timestamp, a date, ISO 8601 text or Unix seconds"),
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


def check_expressions(raw: RawLog, name: str, log: LogConfig) -> Expressions:
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
    try:
        types = _types(rows, wanted)
    except REFUSALS as error:  # each by itself tells more
        problems = [problem for path, text in wanted.items() if (problem := _problem(rows, path, text)) is not None]
        problems = problems or [f"select: the expressions do not go together; Spark says: {one_line(error)}"]
        raise ConfigError("\n".join(f"logs.{name}.{problem}" for problem in problems)) from None
    wrong = [_wrong_type(path, wanted[path], found) for path, found in types.items()]
    if problems := [problem for problem in wrong if problem is not None]:
        raise ConfigError("\n".join(f"logs.{name}.{problem}" for problem in problems))
    types_by_field = {path.removeprefix("select."): found for path, found in types.items()}
    return Expressions(fields, types_by_field, log.where, _has_generator(rows, list(fields.values())))


def _types(rows: DataFrame, wanted: dict[str, str]) -> dict[str, T.DataType]:
    """The type of each expression. Raises one of REFUSALS where Spark does not take them all as one column each."""
    for text in wanted.values():
        _refuse_bare_function(rows, text)
    # Beside the raw columns, as an aggregate by itself would pass.
    selected = rows.where(wanted["where"]) if "where" in wanted else rows
    schema = selected.select("*", *[F.expr(text).alias(path) for path, text in wanted.items()]).schema
    return {field.name: field.dataType for field in schema.fields[len(rows.columns) :]}


def _refuse_bare_function(rows: DataFrame, text: str) -> None:
    """To Spark `user` is the name of whoever runs the job where there is no column of that name. To us it is a typo."""
    name = text.strip().lower()
    if name.isidentifier() and name not in (*[column.lower() for column in rows.columns], "null", "true", "false"):
        raise AnalysisException(f"there is no column `{text.strip()}`")


def _problem(rows: DataFrame, path: str, text: str) -> str | None:
    """What is wrong with an expression, looked at by itself."""
    try:
        _types(rows, {path: text})
    except REFUSALS as error:
        allowed = f"a Spark SQL expression over the columns {', '.join(rows.columns)}"
        return f"{path}: found '{text}'; allowed: {allowed}; Spark says: {one_line(error)}"
    return None


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
