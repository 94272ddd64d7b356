"""Checks of a log's Spark SQL expressions, each by itself, so that an error names the one that is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import ConfigError
from twhin_spark.logs.likely_causes import wrong_separator
from twhin_spark.logs.reader import RAW, RawLog, quoted
from twhin_spark.logs.spark_errors import REFUSALS, one_line

_SHOWN = 200
# Types that a field may have. VOID is the type of a bare NULL.
_NUMBERS = (T.NumericType, T.StringType, T.NullType)
_TIMES = (*_NUMBERS, T.TimestampType, T.TimestampNTZType, T.DateType)
_NAMES = (*_TIMES, T.BooleanType, T.BinaryType)
_ALLOWED: dict[str, tuple[tuple[type[T.DataType], ...], str]] = {
    "select.weight": (_NUMBERS, "a number, or text that holds one"),
    "select.timestamp": (_TIMES, "a timestamp, a date, ISO 8601 text or Unix seconds"),
}


@dataclass(frozen=True)
class Expressions:
    """The select list of a log by field, and its condition. Each expression yields one column of a fitting type."""

    fields: dict[str, str]
    types: dict[str, T.DataType]
    where: str | None
    multiplies: bool  # one of the fields is a generator: a row may yield none, one or many

    def column(self, field: str) -> Column:
        return F.expr(self.fields[field])

    def texts(self) -> dict[str, str]:
        """Return the expressions by their path in the section of the log."""
        texts = {f"select.{field}": text for field, text in self.fields.items()}
        return texts if self.where is None else {"where": self.where, **texts}


def check_expressions(raw: RawLog, name: str, log: LogConfig) -> Expressions:
    """Check the log's expressions against its columns.

    A log without any columns has no rows to check against, and passes.

    Raises
    ------
    ConfigError
        Spark refuses an expression, or its type does not fit; one line for each.
    """
    fields = {field: text for field, text in log.select.model_dump().items() if text is not None}
    if not raw.columns and not raw.unreadable:
        return Expressions(dict.fromkeys(fields, "NULL"), dict.fromkeys(fields, T.NullType()), None, False)
    rows = raw.rows.select(*[quoted(column) for column in raw.columns])
    wanted = {f"select.{field}": text for field, text in fields.items()}
    if log.where is not None:
        wanted["where"] = log.where
    try:
        types = _types(rows, wanted)
    except REFUSALS as error:
        if (cause := wrong_separator(log, rows.columns) or _missing_header(raw, log)) is not None:
            raise ConfigError(f"logs.{name}.{cause}") from None
        problems = [  # each by itself tells more
            problem for path, text in wanted.items() if (problem := _problem(rows, raw, path, text)) is not None
        ]
        problems = problems or [f"select: the expressions cannot be used together; Spark says: {one_line(error)}"]
        raise ConfigError("\n".join(f"logs.{name}.{problem}" for problem in problems)) from None
    wrong = [_wrong_type(path, wanted[path], data_type) for path, data_type in types.items()]
    if problems := [problem for problem in wrong if problem is not None]:
        raise ConfigError("\n".join(f"logs.{name}.{problem}" for problem in problems))
    types_by_field = {path.removeprefix("select."): data_type for path, data_type in types.items()}
    return Expressions(fields, types_by_field, log.where, _has_generator(rows, list(fields.values())))


def _missing_header(raw: RawLog, log: LogConfig) -> str | None:
    """Return an error if the first line of a CSV log names what the select takes for columns, but is read as a row."""
    if log.format != "csv" or raw.columns[:1] != ["_c0"]:
        return None
    if (row := raw.rows.select(RAW).first()) is None:
        return None
    first: str = row[0]
    words = re.findall(r"\w+", first.lower())
    texts = [text for text in log.select.model_dump().values() if text is not None]
    if not any(word in words for text in texts for word in re.findall(r"\w+", text.lower())):
        return None
    return f"options.header is not set, but the first line is '{first[:_SHOWN]}'; set options.header: true"


def _types(rows: DataFrame, wanted: dict[str, str]) -> dict[str, T.DataType]:
    """Return the type of each expression. Raise one of REFUSALS if one of them is not exactly one column."""
    for text in wanted.values():
        _refuse_bare_function(rows, text)
    # Beside the raw columns, as an aggregate by itself would pass.
    selected = rows.where(wanted["where"]) if "where" in wanted else rows
    schema = selected.select("*", *[F.expr(text).alias(path) for path, text in wanted.items()]).schema
    return {field.name: field.dataType for field in schema.fields[len(rows.columns) :]}


def _refuse_bare_function(rows: DataFrame, text: str) -> None:
    """Refuse a name that is no column: Spark would read `user`, for example, as the name of the job's user."""
    name = text.strip().lower()
    if name.isidentifier() and name not in (*[column.lower() for column in rows.columns], "null", "true", "false"):
        spaced = next((column for column in rows.columns if column.strip().lower() == name), None)
        more = "" if spaced is None else f", but `{spaced}`: options.ignoreLeadingWhiteSpace: true removes such spaces"
        numbered = [column for column in rows.columns if re.fullmatch(rf"{re.escape(name)}\d+", column.lower())]
        if len(numbered) > 1:
            more = f", but {' and '.join(numbered)}: the header names it more than once, so they are numbered"
        raise AnalysisException(f"there is no column `{text.strip()}`{more}")


def _problem(rows: DataFrame, raw: RawLog, path: str, text: str) -> str | None:
    """Return an error of an expression by itself, or None."""
    try:
        _types(rows, {path: text})
    except REFUSALS as error:
        for column, reason in raw.unreadable.items():
            if re.search(rf"\b{re.escape(column)}\b", text):
                return f"{path} is '{text}', but {reason}"
        columns = ", ".join(column if column.isidentifier() else quoted(column) for column in rows.columns)
        required = f"a Spark SQL expression over the columns {columns}"
        return f"{path} is '{text}', but must be {required}; Spark says: {one_line(error)}"
    return None


def _wrong_type(path: str, text: str, data_type: T.DataType) -> str | None:
    allowed, required = _ALLOWED.get(path, (_NAMES, "text, or a value that is written as text"))
    if isinstance(data_type, allowed):
        return None
    return f"{path} is '{text}', which is of type {data_type.simpleString()}, but must be {required}"


def _has_generator(rows: DataFrame, texts: list[str]) -> bool:
    """Return True if one of the expressions is a generator such as explode(...), which cannot be part of another."""
    try:
        rows.select(*[F.expr(text).isNull() for text in texts])
    except AnalysisException as error:
        if (error.getCondition() or "").startswith("UNSUPPORTED_GENERATOR"):
            return True
        raise
    return False
