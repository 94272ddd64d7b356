"""Spark's errors as one readable line."""

from __future__ import annotations

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException, IllegalArgumentException, ParseException, PySparkException

from twhin_spark.tables.error_causes import cause_line

# Errors that Spark raises for a path, an option or an expression, before any task.
REFUSALS = (AnalysisException, ParseException, IllegalArgumentException)
# Errors that Spark raises if a task has failed.
FAILURES = (PySparkException, Py4JJavaError)


def one_line(error: BaseException) -> str:
    """Return the cause in one line, without the names of classes, Spark's error codes and stack traces."""
    return cause_line(error)
