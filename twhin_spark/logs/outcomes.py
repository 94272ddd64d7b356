"""Counts of the outcomes of rows, which need a pass over the logs, and the cause if this pass fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import ConfigError, InputError, TwhinError
from twhin_spark.logs.expressions import Expressions
from twhin_spark.logs.reader import KIND, RawLog, quoted
from twhin_spark.logs.row_checks import OUTCOME, RAW_ROW, REASON
from twhin_spark.logs.spark_errors import FAILURES, one_line

_NOTHING = ("None", "null", "NULL", "NaN", "nan")  # ids that programs write if there is none


@dataclass(frozen=True)
class Outcomes:
    """Numbers of rows by log, outcome and reason.

    named_nothing: accepted rows with an id that may mean that there is none, by log.
    """

    rows: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    named_nothing: Counter[str] = field(default_factory=Counter)

    def rejected_by_reason(self, log: str) -> dict[str, int]:
        return {
            str(reason): number
            for (name, outcome, reason), number in self.rows.items()
            if (name, outcome) == (log, "rejected")
        }


def count_outcomes(
    rows: DataFrame, raw: Mapping[str, RawLog], expressions: Mapping[str, Expressions], config: Config
) -> Outcomes:
    """Count checked rows by log, outcome and reason.

    Raises
    ------
    ConfigError
        An expression fails on a row.
    InputError
        The files of a log cannot be read.
    """
    try:
        named_nothing = F.count_if(F.col("source_id").isin(*_NOTHING) | F.col("target_id").isin(*_NOTHING))
        counted = rows.groupBy("log", OUTCOME, REASON).agg(F.count("*"), named_nothing).collect()
    except FAILURES as error:
        raise _read_failure(error, raw, expressions, config) from None
    outcomes = Outcomes()
    for log, outcome, reason, number, nothing in counted:
        outcomes.rows[log, outcome, reason] = number
        if outcome == "accepted" and nothing:
            outcomes.named_nothing[log] += nothing
    for name in (name for name, of_log in expressions.items() if of_log.multiplies):
        of_log = rows.where((F.col("log") == name) & F.col(RAW_ROW).isNotNull())
        sound = raw[name].rows.where(F.col(KIND) == "row")
        outcomes.rows[name, "left_out", "where"] = sound.count() - of_log.select(RAW_ROW).distinct().count()
    return outcomes


def _read_failure(
    error: BaseException, raw: Mapping[str, RawLog], expressions: Mapping[str, Expressions], config: Config
) -> TwhinError:
    """Return an error that names the log that cannot be read, or the expression that fails on one of its rows."""
    for name, log in raw.items():
        if (cause := _failure(log.rows)) is not None:
            source = ", ".join(config.logs[name].path) or "the DataFrame"
            return InputError(
                f"logs.{name}: reading {source} failed: {one_line(cause)}; check the files, and the format and columns "
                "that the config gives them"
            )
        rows = log.rows.where(F.col(KIND) == "row")
        for path, text in expressions[name].texts().items():
            if (cause := _failure(rows.select(F.expr(text).alias("value")))) is not None:
                return ConfigError(
                    f"logs.{name}.{path} is '{text}', which fails on a row of the log: {one_line(cause)}; correct it; "
                    "if single values are at fault, try_cast and others that begin with try_ give null for them"
                )
    return InputError(f"logs: reading {', '.join(raw)} failed: {one_line(error)}")


def _failure(rows: DataFrame) -> BaseException | None:
    """Compute all values of some rows, and return the error that this ends with, if any."""
    try:
        rows.agg(F.max(F.xxhash64(*map(quoted, rows.columns)))).collect()
    except FAILURES as error:
        return error
    return None
