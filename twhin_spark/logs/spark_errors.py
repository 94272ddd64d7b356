"""What Spark says when it fails, in one line that a person can read."""

from __future__ import annotations

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException, IllegalArgumentException, ParseException, PySparkException

from twhin_spark.tables.error_causes import cause_line

# What Spark raises while it looks at a path, an option or an expression, before any task.
REFUSALS = (AnalysisException, ParseException, IllegalArgumentException)
# What it raises when a task has failed.
FAILURES = (PySparkException, Py4JJavaError)


def one_line(error: BaseException) -> str:
    """Return the cause in one line, without the names of classes, Spark's error codes and stack traces."""
    return cause_line(error)
