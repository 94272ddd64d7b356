"""The work of ranking tasks, over files. Runs on workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.evaluation.facts import Facts, QuerySet
from twhin_spark.evaluation.places import find, partition_of, row_of, span
from twhin_spark.evaluation.queries import Queries
from twhin_spark.evaluation.scratch import Arrays, Scratch
from twhin_spark.evaluation.vectors import Model
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.ranking import Excluded, Positives, count_above, positive_scores

Scores = NDArray[np.float64]
COUNTS = ("new_greater", "new_equal", "filtered_greater", "filtered_equal")


@dataclass(frozen=True)
class Ranking:
    """A model that answers the queries of a set, under a name of its own."""

    name: str
    asked: QuerySet
    model: Model


@dataclass(frozen=True)
class RankTask:
    """What all tasks share.

    cuts: (batches + 1,), batch i has the sources of partitions cuts[i] up to, not including, cuts[i + 1].
    targets: the partitions of targets that have facts.
    """

    facts: Facts
    rankings: Sequence[Ranking]
    cuts: Sequence[int]
    targets: Sequence[int]

    @property
    def scratch(self) -> Scratch:
        return self.facts.scratch

    def write_vectors(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Writes the vectors of the sources of one ranking's batch: unit = ranking · batches + batch."""
        for unit in units:
            number, batch = divmod(unit, len(self.cuts) - 1)
            ranking = self.rankings[number]
            parts = []
            for partition in range(self.cuts[batch], self.cuts[batch + 1]):
                sources = ranking.asked.queries.sources
                rows = row_of(sources[span(sources, partition, partition + 1)])
                if len(rows):
                    parts.append(ranking.model.sources.read(partition, rows))
            if parts:
                self.scratch.write(f"vectors/{ranking.name}/{batch}", vectors=np.concatenate(parts))
            yield _unit(unit)

    def write_scores(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Writes the scores of the answers that lie in one partition of targets, in the order of their queries."""
        for unit in units:
            partition = self.targets[unit]
            for ranking in self.rankings:
                queries = ranking.asked.queries
                here = np.flatnonzero(partition_of(queries.target) == partition)
                scores = np.empty(len(here))
                if len(here):
                    answers = ranking.model.targets.read(partition, row_of(queries.target[here]))  # (k, dim)
                    for sources, vectors in self._batches(ranking):
                        part = _within(queries.source[here], sources)
                        source = queries.source[here[part]] - sources.start
                        scores[part] = positive_scores(vectors, answers[part], source)
                self.scratch.write(f"scores/{ranking.name}/{partition}", scores=scores)
            yield _unit(unit)

    def count(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Counts the candidates of some partitions of targets above each answer: the columns ranking, query, COUNTS."""
        for number, ranking in enumerate(self.rankings):
            scores = self._scores(ranking)
            counts = np.zeros((len(COUNTS), len(scores)), np.int64)
            for unit in units:
                self._count_partition(ranking, self.targets[unit], scores, counts)
            columns = {
                "ranking": np.full(len(scores), number, np.int32),
                "query": np.arange(len(scores), dtype=np.int32),
            }
            yield pa.RecordBatch.from_pydict(columns | dict(zip(COUNTS, counts, strict=True)))

    def _count_partition(self, ranking: Ranking, partition: int, scores: Scores, counts: Integers) -> None:
        """Adds the counts of one partition to `counts` (4, m)."""
        queries = ranking.asked.queries
        rows = self.facts.targets(ranking.asked.relation, partition)["row"]
        candidates = ranking.model.targets.read(partition, rows)  # (n, dim)
        answer = np.where(partition_of(queries.target) == partition, find(row_of(queries.target), rows), -1)
        known = self.facts.known(ranking.asked.name, partition)
        held = _held_in(queries, partition, rows)
        for sources, vectors in self._batches(ranking):
            mine = queries.of_sources(sources)
            source = queries.source[mine] - sources.start
            positives = Positives(source, answer[mine], scores[mine])
            trained = _within(known["source"], sources)
            excluded = Excluded(known["source"][trained] - sources.start, find(known["row"][trained], rows))
            greater, equal = count_above(vectors, candidates, positives, excluded)
            counts[0, mine] += greater
            counts[1, mine] += equal

            # Scores are exact, so what the source's held-out targets add can be told apart and taken out again.
            others = _within(held["source"], sources)
            held_source = held["source"][others] - sources.start
            held_scores = positive_scores(vectors, candidates[held["candidate"][others]], held_source)
            held_greater, held_equal = compare_within(held_source, held_scores, source, scores[mine])
            itself = answer[mine] >= 0  # is among the held-out targets, but not in the counts
            counts[2, mine] += greater - held_greater
            counts[3, mine] += equal - (held_equal - itself)

    def _batches(self, ranking: Ranking) -> Iterator[tuple[slice, Floats]]:
        """The slice of the sources and their vectors, of each batch that has any."""
        queries = ranking.asked.queries
        for batch in range(len(self.cuts) - 1):
            sources = queries.sources_in(self.cuts[batch], self.cuts[batch + 1])
            if sources.start < sources.stop:
                yield sources, self.scratch.read(f"vectors/{ranking.name}/{batch}")["vectors"]

    def _scores(self, ranking: Ranking) -> Scores:
        """The scores of all answers (m,)."""
        target = ranking.asked.queries.target
        order = np.argsort(partition_of(target), kind="stable")
        scores = np.empty(len(target))
        scores[order] = np.concatenate(
            [self.scratch.read(f"scores/{ranking.name}/{partition}")["scores"] for partition in self.targets]
        )
        return scores


def compare_within(group: Integers, score: Floats, own_group: Integers, own_score: Floats) -> tuple[Integers, Integers]:
    """How many of the scores (k,) are greater than, and equal to, each own score (m,) of the same group: (m,) each."""
    levels, level = np.unique(np.concatenate([score, own_score]), return_inverse=True)
    keys = np.sort(group.astype(np.int64) * len(levels) + level[: len(group)])
    own_keys = own_group.astype(np.int64) * len(levels) + level[len(group) :]
    below, up_to = np.searchsorted(keys, own_keys), np.searchsorted(keys, own_keys, side="right")
    end = np.searchsorted(keys, (own_group.astype(np.int64) + 1) * len(levels))
    return end - up_to, up_to - below


def _held_in(queries: Queries, partition: int, rows: Integers) -> Arrays:
    """The held-out pairs (k,) with the target in a partition: source, ascending, and position among the candidates."""
    here = np.flatnonzero(partition_of(queries.held_target) == partition)
    return {"source": queries.held_source[here], "candidate": find(row_of(queries.held_target[here]), rows)}


def _within(ascending: Integers, sources: slice) -> slice:
    """Where the numbers of a slice of the sources lie."""
    begin, end = np.searchsorted(ascending, (sources.start, sources.stop))
    return slice(int(begin), int(end))


def _unit(unit: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"unit": pa.array([unit], pa.int32())})
