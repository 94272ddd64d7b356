"""Defects: each makes a valid line of a log invalid, for one reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

CSV_COLUMNS = ("event_id", "time", "action", "user_id", "tweet_id", "weight")


@dataclass(frozen=True)
class Defect:
    reason: str  # as `rejected_events` names it
    apply: Callable[[str], str]  # valid line -> invalid line


def _csv(reason: str, column: str, text: str) -> Defect:
    """Set the field of a column to `text`: an empty text is a missing value, a pair of quotes an empty one."""
    position = CSV_COLUMNS.index(column)

    def apply(line: str) -> str:
        fields = line.split(",")
        fields[position] = text
        return ",".join(fields)

    return Defect(reason, apply)


def _json(reason: str, key: str, value: str | None) -> Defect:
    """Set the value of a key."""
    return Defect(reason, lambda line: _dump({**json.loads(line), key: value}))


def _json_without(reason: str, key: str) -> Defect:
    """Remove a key."""
    return Defect(reason, lambda line: _dump({k: v for k, v in json.loads(line).items() if k != key}))


def _dump(record: dict[str, str | None]) -> str:
    return json.dumps(record, separators=(",", ":"))


INTERACTION_DEFECTS = (
    Defect("malformed_line", lambda line: line.rpartition(",")[0]),  # a field too few
    Defect("malformed_line", lambda line: line + ",1"),  # a field too many
    _csv("missing_source_id", "user_id", ""),
    _csv("missing_source_id", "user_id", '""'),
    _csv("missing_target_id", "tweet_id", ""),
    _csv("missing_target_id", "tweet_id", '""'),
    _csv("unknown_relation", "action", "BOOKMARK"),
    _csv("unknown_relation", "action", ""),
    _csv("unparsable_timestamp", "time", "2026-02-30 12:00:00"),  # no such day
    _csv("unparsable_timestamp", "time", "n/a"),
    _csv("timestamp_out_of_range", "time", "1899-12-30 00:00:00"),  # day 0 of spreadsheets
    _csv("timestamp_out_of_range", "time", "9999-12-31 23:59:59"),  # "for ever"
    _csv("non_finite_weight", "weight", "NaN"),
    _csv("non_finite_weight", "weight", "Infinity"),
    _csv("non_positive_weight", "weight", "0.000"),
    _csv("non_positive_weight", "weight", "-1.000"),
)

FOLLOW_DEFECTS = (
    Defect("malformed_line", lambda line: line[:-1]),  # the brace is never closed
    Defect("malformed_line", lambda line: line[: len(line) // 2]),  # the writer was killed
    _json_without("missing_source_id", "follower"),
    _json("missing_source_id", "follower", None),
    _json("missing_source_id", "follower", ""),
    _json_without("missing_target_id", "followed"),
    _json("missing_target_id", "followed", None),
    _json("missing_target_id", "followed", ""),
    _json("unknown_relation", "verb", "mute"),
    _json_without("unknown_relation", "verb"),
    _json("unparsable_timestamp", "at", "2026-02-30T12:00:00Z"),
    _json("unparsable_timestamp", "at", "n/a"),
    _json("timestamp_out_of_range", "at", "1899-12-30T00:00:00Z"),
    _json("timestamp_out_of_range", "at", "9999-12-31T23:59:59Z"),
)
