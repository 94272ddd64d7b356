"""Likely causes of rows that are rejected in bulk: another unit of time, separator, layout or encoding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from twhin_spark.config.sections import LogConfig

# Whole numbers that are times of the years 2001 to 2033 in a unit smaller than a second.
_UNITS = {"milliseconds": (13, 10**3), "microseconds": (16, 10**6), "nanoseconds": (19, 10**9)}
_SEPARATORS = {";": "';'", "\t": "'\\t'", "|": "'|'", ",": "','"}


def likely_cause(log: LogConfig, reason: str, samples: Sequence[str]) -> str | None:
    """Return the likely cause of a log's rejected rows and its remedy, or None.

    Parameters
    ----------
    log
        The section of the log.
    reason
        The reason for which most of its rows were rejected.
    samples
        Some of these rows as they were written.

    Examples
    --------
    Rows such as `like,u1,i1,1777600000000` that are all rejected for timestamp_out_of_range are likely to have times
    in milliseconds, and `at / 1000` instead of `at` reads them.
    """
    if reason == "timestamp_out_of_range":
        return _unit(log, samples)
    if reason == "malformed_line":
        return _encoding(samples) or (_lines(samples) if log.format == "json" else _separator(log, samples))
    return None


def _unit(log: LogConfig, samples: Sequence[str]) -> str | None:
    for unit, (digits, factor) in _UNITS.items():
        number = re.compile(rf"(?<![\d.])1\d{{{digits - 1}}}(?!\d)")
        if _mostly(number.search(line) is not None for line in samples):
            return f"the times look like {unit}: write {log.select.timestamp} / {factor} in select.timestamp"
    return None


def _encoding(samples: Sequence[str]) -> str | None:
    if _mostly("\x00" in line or "\ufffd" in line for line in samples):
        return "the bytes are not UTF-8: name their encoding in options.encoding, such as ISO-8859-1 or UTF-16"
    return None


def _lines(samples: Sequence[str]) -> str | None:
    if _mostly(not (line.strip().startswith("{") and line.strip().endswith("}")) for line in samples):
        return "the lines are parts of larger JSON documents: set options.multiLine: true"
    return None


def _separator(log: LogConfig, samples: Sequence[str]) -> str | None:
    used = str(log.options.get("sep", log.options.get("delimiter", ","))).replace("\\t", "\t")
    if log.format != "csv" or _mostly(used in line for line in samples):
        return None
    for separator, written in _SEPARATORS.items():
        if _mostly(separator in line for line in samples):
            return f"the fields are not separated by {used!r}: set options.sep: {written}"
    return None


def _mostly(tests: Iterable[bool]) -> bool:
    """Return True if more than half of the tests hold."""
    results = list(tests)
    return 2 * sum(results) > len(results)
