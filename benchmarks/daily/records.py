"""Records of the benchmark: one for each set and seed, kept in benchmarks/results/daily.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from benchmarks.paths import RECORDS

FILE = RECORDS / "daily.json"
DEFAULT = "warm + alignment"  # what a user gets with `training.start: {from: current}`
METHODS = ("cold", "warm", "warm + anchor", "cold + alignment", DEFAULT, "warm + backward map")


@dataclass(frozen=True)
class MethodRecord:
    """What one way of retraining reaches on one set with one seed.

    recall: recall@K on the next day's edges, of versions 2 to 5. work: edges trained over cold training's, of the same.
    drift: median over types of the mean 1 - cosine to the version before, of the same. ranker_loss, list_loss: share
    that the consumers lose. map_error: of the backward maps, where they are used.
    """

    recall: list[float]
    work: list[float]
    drift: list[float]
    ranker_loss: float
    list_loss: float
    map_error: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class DailyRecord:
    """All methods on one set with one seed. never: recall of version 1, never retrained, on the same days."""

    data: str
    seed: int
    methods: dict[str, MethodRecord]
    never: list[float]
    ranker: float  # rebuilt on version 5 of cold training: MRR
    neighbours: float  # rebuilt on version 5 of cold training: recall@K
    machine: str
    date: str

    @property
    def complete(self) -> bool:
        """True if all methods were measured."""
        return set(self.methods) == set(METHODS)


def load() -> list[DailyRecord]:
    """Return the records, by set and seed."""
    if not FILE.exists():
        return []
    records = [_from_fields(fields) for fields in json.loads(FILE.read_text())]
    return sorted(records, key=lambda record: (record.data, record.seed))


def save(record: DailyRecord) -> None:
    """Add a record, in place of one of the same set and seed."""
    others = [other for other in load() if (other.data, other.seed) != (record.data, record.seed)]
    FILE.write_text(json.dumps([asdict(each) for each in [*others, record]], indent=1) + "\n")


def task_loss(record: DailyRecord, method: str) -> float:
    """Return 1 - recall over cold training's, the mean of versions 2 to 5."""
    cold = record.methods["cold"].recall
    return 1 - fmean(own / other for own, other in zip(record.methods[method].recall, cold, strict=True))


def never_loss(record: DailyRecord) -> float:
    """Return what version 1, never retrained, loses on the last day against cold training."""
    return 1 - record.never[-1] / record.methods["cold"].recall[-1]


def consumer_loss(record: DailyRecord, method: str) -> float:
    """Return the larger of the two consumers' losses."""
    values = record.methods[method]
    return max(values.ranker_loss, values.list_loss)


def summary(records: list[DailyRecord]) -> dict[str, Any]:
    """Return the benchmark's last line: figures of the default settings, means over sets and seeds."""
    return {
        "name": "daily",
        "consumer_loss": round(fmean(consumer_loss(record, DEFAULT) for record in records), 4),
        "task_loss": round(fmean(task_loss(record, DEFAULT) for record in records), 4),
        "work": round(max(max(record.methods[DEFAULT].work) for record in records), 4),
        "versions": 5,
    }


def _from_fields(fields: dict[str, Any]) -> DailyRecord:
    methods = {name: MethodRecord(**values) for name, values in fields["methods"].items()}
    return DailyRecord(**{**fields, "methods": methods})
