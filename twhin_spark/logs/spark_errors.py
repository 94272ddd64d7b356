"""What Spark says when it fails, in one line that a person can read."""

from __future__ import annotations

import re
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException, IllegalArgumentException, ParseException, PySparkException

# What Spark raises while it looks at a path, an option or an expression, before any task.
REFUSALS = (AnalysisException, ParseException, IllegalArgumentException)
# What it raises when a task has failed.
FAILURES = (PySparkException, Py4JJavaError)

_CLASS = re.compile(r"^([\w.$]+(Exception|Error): )+")
_CONDITION = re.compile(r"^\[[A-Z0-9_.]+\] ")
_STATE = re.compile(r"\s*SQLSTATE: \w+.*$")


def one_line(error: BaseException) -> str:
    """The first line of the cause, without the names of classes, Spark's error codes and the stack trace."""
    text = _root(error.java_exception).toString() if isinstance(error, Py4JJavaError) else str(error)
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return _STATE.sub("", _CONDITION.sub("", _CLASS.sub("", line))).rstrip(".")


def _root(throwable: Any) -> Any:
    cause = throwable.getCause()
    return throwable if cause is None else _root(cause)
