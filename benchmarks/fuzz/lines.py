"""Logs whose rows are lines: CSV, JSON and text, with lines that are no rows of their format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import numpy as np

from benchmarks.fuzz.rows import Row, Value

NAMES = ("source", "target", "relation", "at", "weight")


def text_of(value: Value) -> str:
    if value is None:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)


def csv_line(row: Row, separator: str, names: Sequence[str] = NAMES) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="").writerow([text_of(row.values[name]) for name in names])
    return out.getvalue()


def json_line(row: Row) -> str:
    return json.dumps(row.values, ensure_ascii=False)


def broken_lines(rng: np.random.Generator, format: str, sound: Sequence[str], separator: str) -> list[bytes]:  # noqa: A002
    """Lines that are no rows: each must be counted and rejected, and none may become an event."""
    line = str(rng.choice(np.array(sound, object)))
    if format == "csv":
        kinds = [
            separator.join("ab"),
            line + separator + "more",
            '"open' + separator + line.replace('"', ""),
            "no fields at all",
        ]
    elif format == "json":
        kinds = [line[: len(line) // 2], line + "}", line + " {}", "[1, 2]", '"text"', "{", "not json", "null"]
    else:
        kinds = ["one field", "a\tb"]
    chosen = [kinds[int(rng.integers(len(kinds)))].encode() for _ in range(int(rng.integers(1, 4)))]
    if rng.random() < 0.5:  # bytes that are no UTF-8
        chosen.append(line.encode().replace(b"~", b"\xe9\xff", 1))
    return chosen
