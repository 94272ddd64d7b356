"""Likely causes of rows that are rejected in bulk: another form of time, separator, layout, encoding or spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from twhin_spark.config.sections import LogConfig

# Whole numbers that are times of the years 2001 to 2033 in a unit smaller than a second.
_UNITS = {"milliseconds": (13, 10**3), "microseconds": (16, 10**6), "nanoseconds": (19, 10**9)}
# Forms of days that are no ISO 8601, and the pattern that reads them.
_DAYS = {
    r"(?<![\d.])(19|20)\d\d[01]\d[0-3]\d(?![\d.])": "yyyyMMdd",
    r"\b(19|20)\d\d/[01]?\d/[0-3]?\d\b": "yyyy/M/d",
    r"\b[0-3]?\d/[01]?\d/(19|20)\d\d\b": "d/M/yyyy",
    r"\b[01]?\d/[0-3]?\d/(19|20)\d\d\b": "M/d/yyyy",
    r"\b[0-3]?\d\.[01]?\d\.(19|20)\d\d\b": "d.M.yyyy",
}
_COMPRESSED = ("\x1f\ufffd", "BZh", "(\ufffd/\ufffd", "PK\x03\x04")
_NAMED_VALUES = 5
_SEPARATORS = (";", "\t", "|", ",")


def likely_cause(log: LogConfig, reason: str, samples: Sequence[str]) -> str | None:
    """Return the likely cause of a log's rejected rows and its remedy, or None.

    Parameters
    ----------
    log
        The section of the log.
    reason
        The reason for which most of its rows were rejected.
    samples
        Some of these rows as they were written; for unknown_relation, their relations.

    Examples
    --------
    Rows such as `like,u1,i1,1777600000000` that are all rejected for timestamp_out_of_range are likely to have times
    in milliseconds, and `at / 1000` instead of `at` reads them.
    """
    if reason == "timestamp_out_of_range":
        return _unit(log, samples) or _day(log, samples)
    if reason == "unparsable_timestamp":
        return _day(log, samples)
    if reason == "unknown_relation":
        values = list(dict.fromkeys(map(repr, samples)))
        more = ", ..." if len(values) > _NAMED_VALUES else ""
        return f"select.relation gives {', '.join(values[:_NAMED_VALUES])}{more}"
    if reason == "malformed_line" and log.format in ("parquet", "delta"):
        return "the bytes of a selected column are not UTF-8: read them by hex(...) or decode(..., 'ISO-8859-1')"
    if reason == "malformed_line":
        return _encoding(samples) or (_lines(samples) if log.format == "json" else _separator(log, samples))
    return None


def _unit(log: LogConfig, samples: Sequence[str]) -> str | None:
    for unit, (digits, factor) in _UNITS.items():
        number = re.compile(rf"(?<![\d.])1\d{{{digits - 1}}}(?!\d)")
        if _mostly(number.search(line) is not None for line in samples):
            return f"the times look like {unit}: write {log.select.timestamp} / {factor} in select.timestamp"
    return None


def _day(log: LogConfig, samples: Sequence[str]) -> str | None:
    for form, pattern in _DAYS.items():
        if samples and all(re.search(form, line) is not None for line in samples):
            time = log.select.timestamp
            return f"the times look like days: write try_to_timestamp({time}, '{pattern}') in select.timestamp"
    return None


def _encoding(samples: Sequence[str]) -> str | None:
    if any(line.startswith(_COMPRESSED) for line in samples):
        return "a file is compressed, and its name does not say so: let it end in .gz, .bz2 or .zst, or unpack it"
    if _mostly("\x00" in line or "\ufffd" in line for line in samples):
        return "the bytes are not UTF-8: name their encoding in options.encoding, such as ISO-8859-1 or UTF-16"
    return None


def _lines(samples: Sequence[str]) -> str | None:
    if samples and all(re.fullmatch(r"\s*\{.*\},\s*", line) for line in samples):
        return "the lines end with a comma, but each must be a JSON object"
    if _mostly(not (line.strip().startswith("{") and line.strip().endswith("}")) for line in samples):
        return "the lines are parts of larger JSON documents: set options.multiLine: true"
    return None


def _separator(log: LogConfig, samples: Sequence[str]) -> str | None:
    used = _used_separator(log)
    if log.format != "csv" or _mostly(used in line for line in samples):
        return None
    for separator in _SEPARATORS:
        if _mostly(separator in line for line in samples):
            return f"the fields are not separated by {used!r}: set options.sep: {separator!r}"
    return None


def _used_separator(log: LogConfig) -> str:
    return str(log.options.get("sep", log.options.get("delimiter", ","))).replace("\\t", "\t")


def wrong_separator(log: LogConfig, columns: Sequence[str]) -> str | None:
    """Return an error if a CSV log has one column, whose name contains another separator than that of the options."""
    separator = next((sign for sign in _SEPARATORS if sign in columns[0]), None) if len(columns) == 1 else None
    if log.format != "csv" or separator is None:
        return None
    used = _used_separator(log)
    return f"options.sep is {used!r}, but the header is the one column '{columns[0]}'; set options.sep: {separator!r}"


def _mostly(tests: Iterable[bool]) -> bool:
    """Return True if more than half of the tests hold."""
    results = list(tests)
    return 2 * sum(results) > len(results)
