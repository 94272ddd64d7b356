"""Rows of a log as the generator means them, sound ones and ones with a fault in a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Value = str | int | float | bytes | None

RELATIONS = ("like", "unlike", "follow")
_STEMS = (
    "ann", "Bo, the 2nd", 'Cy "C" Day', "d;e", "f|g", "Чехов", "李 雷", "naïve", "O'Hara", "a\\b", " lead", "x/y?z=1",
    "#tag", "None", "null", "NaN", "true", "007", "1e5", "-", "🙂", "a.b", "$HOME", "{0}", "%41", "long" * 500,
)  # fmt: skip
_BLANK = ("", " ", "\u00a0", "\u3000  ", None)


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    values
        What is written for each field: source, target, relation, at, weight.
    pair
        Source and target as text, if the row may become an event; None if no event may come of it.
    sound
        Whether it must become an event.
    """

    values: dict[str, Value]
    pair: tuple[str, str] | None
    sound: bool = True
    extra: dict[str, Any] = field(default_factory=dict)


def sound_row(rng: np.random.Generator, number: int) -> Row:
    """A row that nobody can misread; its ids are of this row alone."""
    stems = rng.choice(len(_STEMS), 2)
    source, target = (f"{_STEMS[stem]}~{end}{number}" for stem, end in zip(stems, "st", strict=True))
    values: dict[str, Value] = {
        "source": source,
        "target": target,
        "relation": str(rng.choice(RELATIONS)),
        "at": 1_700_000_000 + int(rng.integers(10**7)),
        "weight": round(float(rng.uniform(0.1, 9)), 3),
    }
    return Row(values, (source, target))


def _with(row: Row, name: str, value: Value) -> Row:
    return replace(row, values={**row.values, name: value}, pair=None, sound=False)


Fault = Callable[[np.random.Generator, Row], Row]

# Each makes of a sound row one that must be rejected.
FAULTS: dict[str, Fault] = {
    "missing source": lambda rng, row: _with(row, "source", _BLANK[rng.integers(len(_BLANK))]),
    "missing target": lambda rng, row: _with(row, "target", _BLANK[rng.integers(len(_BLANK))]),
    "unknown relation": lambda rng, row: _with(row, "relation", ("LIKE", "likes", "", None)[rng.integers(4)]),
    "no time": lambda rng, row: _with(row, "at", None),
    "time out of range": lambda rng, row: _with(row, "at", (-(10**10), 10**13, 4_200_000_000)[rng.integers(3)]),
    "no weight": lambda rng, row: _with(row, "weight", None),
    "weight of no use": lambda rng, row: _with(
        row, "weight", (0.0, -1.5, float("nan"), float("inf"), 1e12)[rng.integers(5)]
    ),
}
# For formats in which a number may be written as text.
TEXT_FAULTS: dict[str, Fault] = {
    "time that is none": lambda rng, row: _with(row, "at", ("soon", "2026-13-45", "12:30", "0x10")[rng.integers(4)]),
    "weight that is none": lambda rng, row: _with(row, "weight", ("heavy", "1,5", "--", "1e")[rng.integers(4)]),
}


def draw_rows(rng: np.random.Generator, *, as_text: bool) -> list[Row]:
    """Draw 12 to 40 rows, of which up to half have a fault; at least eight are sound."""
    faults = {**FAULTS, **(TEXT_FAULTS if as_text else {})}
    names = list(faults)
    count = int(rng.integers(12, 41))
    faulty = set(rng.choice(count, int(rng.integers(0, min(count // 2, count - 8) + 1)), replace=False).tolist())
    rows = [sound_row(rng, number) for number in range(count)]
    return [faults[names[rng.integers(len(names))]](rng, row) if i in faulty else row for i, row in enumerate(rows)]
