"""Two logs with times, cut into five versions: a first half of the events, then tenths."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.paths import data_file

VERSIONS = 5
_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the events: what version k is trained on ends where its test begins
_KINDS = {"RT": 0, "MT": 1, "RE": 2}

Edges = NDArray[np.int64]  # (n, 3): relation, source, target
Known = dict[str, NDArray[np.bool_]]  # by type, whether an entity has a training edge


@dataclass(frozen=True)
class TimedRelation:
    """A relation of a set: entity types of its ends, operator and weight."""

    source: str
    target: str
    operator: str
    weight: float


@dataclass(frozen=True)
class TrainingOptions:
    """The options of the set's config in conf/."""

    dim: int
    epochs: int
    batch_size: int
    in_batch_negatives: int
    uniform_negatives: int
    temperature: float
    comparator: str
    learning_rate: float = 0.1
    relation_learning_rate: float = 0.01


@dataclass(frozen=True)
class TimedSet:
    """Events in the order of their times.

    name: of the set. events: (n, 3). relations: by number; the first one is measured. logarithmic: repeated events
    count by the logarithm of their number. options: those of the config.
    """

    name: str
    events: Edges
    relations: tuple[TimedRelation, ...]
    logarithmic: bool
    options: TrainingOptions

    @cached_property
    def types(self) -> list[str]:
        return sorted({name for relation in self.relations for name in (relation.source, relation.target)})

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of ids of each type."""
        counts = dict.fromkeys(self.types, 0)
        for number, relation in enumerate(self.relations):
            of_relation = self.events[self.events[:, 0] == number]
            for column, name in ((1, relation.source), (2, relation.target)):
                counts[name] = max(counts[name], int(of_relation[:, column].max()) + 1)
        return counts

    def training(self, version: int) -> tuple[Edges, NDArray[np.float32]]:
        """Return the distinct edges that a version, from 0, is trained on, and their weights."""
        edges, repeats = np.unique(self.events[: self.cut(version)], axis=0, return_counts=True)
        return edges, (np.log1p(repeats) if self.logarithmic else repeats).astype(np.float32)

    def known(self, version: int) -> Known:
        """Return which entities a version is trained on."""
        edges, _ = self.training(version)
        known = {name: np.zeros(count, bool) for name, count in self.counts.items()}
        for number, relation in enumerate(self.relations):
            of_relation = edges[edges[:, 0] == number]
            known[relation.source][of_relation[:, 1]] = known[relation.target][of_relation[:, 2]] = True
        return known

    def next_day(self, version: int) -> Edges:
        """Return the next tenth's new edges of the measured relation, both of whose ends the version knows."""
        edges, _ = self.training(version)
        later = np.unique(self.events[self.cut(version) : self.cut(version + 1)], axis=0)
        later = later[later[:, 0] == 0]
        seen = set(map(tuple, edges[edges[:, 0] == 0, 1:].tolist()))
        known, relation = self.known(version), self.relations[0]
        both = known[relation.source][later[:, 1]] & known[relation.target][later[:, 2]]
        new = np.array([(source, target) not in seen for _, source, target in later.tolist()], bool)
        queries: Edges = later[both & new]
        return queries

    def cut(self, version: int) -> int:
        """Return the number of events that a version is trained on."""
        return int(len(self.events) * _SHARES[version])


def _higgs_events() -> Iterator[tuple[int, int, int, int]]:
    with gzip.open(data_file("higgs-twitter/higgs-activity_time.txt.gz"), "rt") as lines:
        for line in lines:
            actor, target, seconds, kind = line.split()
            yield int(seconds), int(actor), int(target), _KINDS[kind]


def _lastfm_events() -> Iterator[tuple[int, int, int, int]]:
    with gzip.open(data_file("hetrec2011-lastfm-2k/user_taggedartists.dat.gz"), "rt") as lines:
        next(lines)
        for line in lines:
            user, artist, tag, day, month, year = map(int, line.split())
            if year >= 2005:  # a few rows have times before the service began
                time = (year * 12 + month) * 31 + day
                yield time, user, artist, 0
                yield time, artist, tag, 1


def higgs() -> TimedSet:
    """Return who retweets, mentions and replies to whom; the days are tenths, as one day has most of the events."""
    relations = (TimedRelation("user", "user", "translation", 1.0),) * 3
    options = TrainingOptions(128, 8, 200, 200, 500, 1.0, "dot")
    return TimedSet("higgs", _ordered(_higgs_events()), relations, False, options)


def lastfm() -> TimedSet:
    """Return who tags which artist with what: the only part of Last.fm that has times."""
    relations = (
        TimedRelation("user", "artist", "identity", 1.0),
        TimedRelation("artist", "tag", "identity", 3.0),
    )
    options = TrainingOptions(256, 16, 512, 128, 256, 0.12, "cosine")
    return TimedSet("lastfm", _ordered(_lastfm_events()), relations, True, options)


def _ordered(events: Iterator[tuple[int, int, int, int]]) -> Edges:
    edges: Edges = np.array(sorted(events), np.int64)[:, [3, 1, 2]]
    return edges


SETS: dict[str, Callable[[], TimedSet]] = {"lastfm": lastfm, "higgs": higgs}
