"""The delivery of events as lines of a log: some lines are invalid, some are delivered twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from twhin_spark.cli.demo.defects import CSV_COLUMNS, FOLLOW_DEFECTS, INTERACTION_DEFECTS, Defect
from twhin_spark.cli.demo.population import DAY, END, START

INVALID_SHARE = 0.03  # of the events of a log
REPLAYED_SHARE = 0.01
PART_DAYS = 7
VALID = -1


@dataclass(frozen=True)
class ExpectedCounts:
    """The counts that a reader must report of a log: lines = accepted + replayed + all of rejected_by_reason."""

    lines: int
    accepted: int
    replayed: int
    rejected_by_reason: dict[str, int]

    @property
    def rejected(self) -> int:
        return sum(self.rejected_by_reason.values())


def deliver(rng: np.random.Generator, events: pd.DataFrame, defects: Sequence[Defect]) -> pd.DataFrame:
    """Return the lines of a log in the order of their delivery.

    Parameters
    ----------
    rng
        Draws the invalid events and the replays.
    events
        Sorted by time.
    defects
        Each is given to as many events as any other, up to a difference of one.

    Returns
    -------
    DataFrame
        `events` with three more columns: number (of the event), defect (index into `defects`, or VALID) and delivered
        (Unix seconds: the event's time, up to a day later for a replay). Only valid events are replayed.
    """
    defect = np.full(len(events), VALID)
    invalid = rng.choice(len(events), size=round(INVALID_SHARE * len(events)), replace=False)
    defect[invalid] = np.arange(invalid.size) % len(defects)
    lines = events.assign(number=np.arange(len(events)), defect=defect, delivered=events["time"])

    valid = np.flatnonzero(defect == VALID)
    copies = lines.iloc[rng.choice(valid, size=round(REPLAYED_SHARE * len(events)), replace=False)]
    late = np.minimum(copies["time"].to_numpy() + rng.integers(1, DAY, size=len(copies)), END - 1)
    return pd.concat([lines, copies.assign(delivered=late)]).sort_values("delivered", kind="stable", ignore_index=True)


def count(lines: pd.DataFrame, defects: Sequence[Defect]) -> ExpectedCounts:
    """Count the lines that `deliver` returned."""
    rejected = Counter(defects[defect].reason for defect in lines["defect"] if defect != VALID)
    events = lines["number"].nunique()
    return ExpectedCounts(
        lines=len(lines),
        accepted=events - rejected.total(),
        replayed=len(lines) - events,
        rejected_by_reason=dict(sorted(rejected.items())),
    )


def write_interactions(lines: pd.DataFrame, folder: Path) -> None:
    """Write one CSV file for each week of delivery, named after the week's first day."""
    folder.mkdir(parents=True, exist_ok=True)
    week = (lines["delivered"] - START) // (PART_DAYS * DAY)
    for number in range(-(-(END - START) // (PART_DAYS * DAY))):
        part = lines[week == number]
        first_day = np.datetime64(START + number * PART_DAYS * DAY, "s").astype("datetime64[D]")
        text = _invalid(_interaction_lines(part), part["defect"], INTERACTION_DEFECTS)
        _write(folder / f"{first_day}.csv", [",".join(CSV_COLUMNS), *text])


def write_follows(lines: pd.DataFrame, path: Path) -> None:
    """Write one file of JSON lines."""
    _write(path, _invalid(_follow_lines(lines), lines["defect"], FOLLOW_DEFECTS))


def user_id(user: int) -> str:
    return f"u{user:06d}"


def tweet_id(tweet: int) -> str:
    return f"t{tweet:07d}"


def _interaction_lines(lines: pd.DataFrame) -> list[str]:
    events = (lines[name].tolist() for name in ("number", "relation", "source", "target", "weight"))
    return [
        f"e{number:08d},{time.replace('T', ' ')},{relation.upper()},{user_id(user)},{tweet_id(tweet)},{weight:.3f}"
        for time, number, relation, user, tweet, weight in zip(_iso(lines["time"]), *events, strict=True)
    ]


def _follow_lines(lines: pd.DataFrame) -> list[str]:
    events = (lines[name].tolist() for name in ("number", "relation", "source", "target"))
    return [
        f'{{"id":"f{number:08d}","at":"{time}Z","verb":"{relation}",'
        f'"follower":"{user_id(source)}","followed":"{user_id(target)}"}}'
        for time, number, relation, source, target in zip(_iso(lines["time"]), *events, strict=True)
    ]


def _iso(seconds: pd.Series[int]) -> list[str]:
    """Return Unix seconds as text, such as 2026-05-02T13:45:10, in UTC."""
    text: list[str] = np.datetime_as_string(seconds.to_numpy().astype("datetime64[s]")).tolist()
    return text


def _invalid(lines: Iterable[str], defect: Iterable[int], defects: Sequence[Defect]) -> list[str]:
    return [line if d == VALID else defects[d].apply(line) for line, d in zip(lines, defect, strict=True)]


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
