"""The work of ranking tasks, over files. Runs on workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.evaluation.known_positives import KnownPositives, QuerySet
from twhin_spark.evaluation.scoring_models import ScoringModel
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.graph.entity_location import (
    Locations,
    location_of,
    partition_of,
    partition_slice,
    positions_in,
    rows_in,
)
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.exact_ranks import Excluded, Positives, count_above, positive_scores

Scores = NDArray[np.float64]
_TOGETHER = 4096  # entities, from which on a partition's are worked on by themselves
COUNTS = ("new_greater", "new_equal", "filtered_greater", "filtered_equal")


@dataclass(frozen=True)
class RankingRequest:
    """A model that answers the queries of a set, under a name of its own."""

    name: str
    query_set: QuerySet
    model: ScoringModel


@dataclass(frozen=True)
class RankingTask:
    """What all tasks share.

    cuts: (batches + 1,), batch i has the sources of partitions cuts[i] up to, not including, cuts[i + 1].
    runs: the partitions of targets that have known_positives, ascending, in runs of some that follow each other.
    """

    known_positives: KnownPositives
    rankings: Sequence[RankingRequest]
    cuts: Sequence[int]
    runs: Sequence[Sequence[int]]

    @property
    def scratch(self) -> Scratch:
        return self.known_positives.scratch

    def write_vectors(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Writes the vectors of the sources of one ranking's batch: unit = ranking · batches + batch."""
        for unit in units:
            number, batch = divmod(unit, len(self.cuts) - 1)
            ranking = self.rankings[number]
            parts = []
            for partition in range(self.cuts[batch], self.cuts[batch + 1]):
                sources = ranking.query_set.queries.sources
                rows = rows_in(sources, partition)
                if len(rows):
                    parts.append(ranking.model.sources.read(partition, rows))
            if parts:
                self.scratch.write(f"vectors/{ranking.name}/{batch}", vectors=np.concatenate(parts))
            yield _unit(unit)

    def write_scores(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Writes the scores of the answers in one run of partitions, by place, then as the queries stand."""
        for unit in units:
            for ranking in self.rankings:
                queries = ranking.query_set.queries
                here = self._in_run(queries.target, unit)
                scores = np.empty(len(here))
                for piece in _pieces(partition_of(queries.target[here])):
                    answers = self._vectors(ranking, queries.target[here[piece]])  # (k, dim)
                    asked = queries.source[here[piece]]
                    for sources, vectors in self._batches(ranking):
                        part = np.flatnonzero((asked >= sources.start) & (asked < sources.stop))
                        found = positive_scores(vectors, answers[part], asked[part] - sources.start)
                        scores[piece.start + part] = found
                self.scratch.write(f"scores/{ranking.name}/{unit}", scores=scores)
            yield _unit(unit)

    def count(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Counts the candidates of some runs of partitions above each answer: the columns ranking, query, COUNTS."""
        for number, ranking in enumerate(self.rankings):
            scores = self._scores(ranking)
            counts = np.zeros((len(COUNTS), len(scores)), np.int64)
            for unit in units:
                for block in self._blocks(ranking, self.runs[unit]):
                    self._count_block(ranking, block, scores, counts)
            columns = {
                "ranking": np.full(len(scores), number, np.int32),
                "query": np.arange(len(scores), dtype=np.int32),
            }
            yield pa.RecordBatch.from_pydict(columns | dict(zip(COUNTS, counts, strict=True)))

    def _count_block(self, ranking: RankingRequest, block: _Block, scores: Scores, counts: Integers) -> None:
        """Adds the counts of one block of candidates to `counts` (4, m)."""
        queries, candidates = ranking.query_set.queries, block.vectors
        answer = positions_in(queries.target, block.places)
        held = positions_in(queries.held_out_target, block.places)
        held_here = np.flatnonzero(held >= 0)
        held_by = queries.held_out_source[held_here]  # ascending
        for sources, vectors in self._batches(ranking):
            mine = queries.of_sources(sources)
            source = queries.source[mine] - sources.start
            positives = Positives(source, answer[mine], scores[mine])
            known = _within(block.known_source, sources)
            excluded = Excluded(block.known_source[known] - sources.start, block.known_candidate[known])
            greater, equal = count_above(vectors, candidates, positives, excluded)
            counts[0, mine] += greater
            counts[1, mine] += equal

            # Scores are exact, so what the source's held-out targets add can be told apart and taken out again.
            others = _within(held_by, sources)
            held_out_source = held_by[others] - sources.start
            held_scores = positive_scores(vectors, candidates[held[held_here[others]]], held_out_source)
            held_greater, held_equal = compare_within_groups(held_out_source, held_scores, source, scores[mine])
            itself = answer[mine] >= 0  # is among the held-out targets, but not in the counts
            counts[2, mine] += greater - held_greater
            counts[3, mine] += equal - (held_equal - itself)

    def _blocks(self, ranking: RankingRequest, partitions: Sequence[int]) -> Iterator[_Block]:
        """The candidates of these partitions, those of small ones together: a product of few rows is slow."""
        gathered: list[_Block] = []
        for number, partition in enumerate(partitions, start=1):
            rows = self.known_positives.candidates(ranking.query_set.relation, partition)["row"]
            known = self.known_positives.pairs(ranking.query_set.name, partition)
            gathered.append(
                _Block(
                    location_of(partition, rows),
                    ranking.model.targets.read(partition, rows),
                    known["source"],
                    positions_in(known["row"], rows),
                )
            )
            if number == len(partitions) or sum(len(block.places) for block in gathered) >= _TOGETHER:
                yield _joined(gathered)
                gathered = []

    def _vectors(self, ranking: RankingRequest, targets: Locations) -> Floats:
        """Of targets (k,), one or more, ascending: (k, dim)."""
        parts = [
            ranking.model.targets.read(partition, rows_in(targets, partition))
            for partition in np.unique(partition_of(targets)).tolist()
        ]
        return np.concatenate(parts)

    def _in_run(self, targets: Locations, run: int) -> Integers:
        """Which of the targets (m,) lie in the partitions of a run, by place, then as they stand."""
        partitions = self.runs[run]
        order = np.argsort(targets, kind="stable")
        return order[partition_slice(targets[order], partitions[0], partitions[-1] + 1)]

    def _batches(self, ranking: RankingRequest) -> Iterator[tuple[slice, Floats]]:
        """The slice of the sources and their vectors, of each batch that has any."""
        queries = ranking.query_set.queries
        for batch in range(len(self.cuts) - 1):
            sources = queries.sources_in(self.cuts[batch], self.cuts[batch + 1])
            if sources.start < sources.stop:
                yield sources, self.scratch.read(f"vectors/{ranking.name}/{batch}")["vectors"]

    def _scores(self, ranking: RankingRequest) -> Scores:
        """The scores of all answers (m,)."""
        target = ranking.query_set.queries.target
        scores = np.empty(len(target))
        parts = [self.scratch.read(f"scores/{ranking.name}/{unit}")["scores"] for unit in range(len(self.runs))]
        scores[np.argsort(target, kind="stable")] = np.concatenate(parts)
        return scores


@dataclass(frozen=True)
class _Block:
    """Candidates of some partitions.

    places: (n,), ascending; vectors: (n, dim).
    known_source, known_candidate: (k,), positions of pairs that are no answer, by source.
    """

    places: Locations
    vectors: Floats
    known_source: Integers
    known_candidate: Integers


def _pieces(partition: Integers) -> Iterator[slice]:
    """Cuts ascending numbers (k,) where they change, into pieces of _TOGETHER or more but for the last."""
    begin = 0
    for end in [*(np.flatnonzero(np.diff(partition)) + 1).tolist(), len(partition)]:
        if end - begin >= _TOGETHER or begin < end == len(partition):
            yield slice(begin, end)
            begin = end


def _joined(blocks: Sequence[_Block]) -> _Block:
    """One block of those of ascending partitions."""
    first = np.cumsum([0, *(len(block.places) for block in blocks)])
    source = np.concatenate([block.known_source for block in blocks])
    candidate = np.concatenate([block.known_candidate + at for block, at in zip(blocks, first[:-1], strict=True)])
    order = np.argsort(source, kind="stable")
    return _Block(
        np.concatenate([block.places for block in blocks]),
        np.concatenate([block.vectors for block in blocks]),
        source[order],
        candidate[order],
    )


def compare_within_groups(
    group: Integers, score: Floats, own_group: Integers, own_score: Floats
) -> tuple[Integers, Integers]:
    """How many of the scores (k,) are greater than, and equal to, each own score (m,) of the same group: (m,) each."""
    levels, level = np.unique(np.concatenate([score, own_score]), return_inverse=True)
    keys = np.sort(group.astype(np.int64) * len(levels) + level[: len(group)])
    own_keys = own_group.astype(np.int64) * len(levels) + level[len(group) :]
    below, up_to = np.searchsorted(keys, own_keys), np.searchsorted(keys, own_keys, side="right")
    end = np.searchsorted(keys, (own_group.astype(np.int64) + 1) * len(levels))
    return end - up_to, up_to - below


def _within(ascending: Integers, sources: slice) -> slice:
    """Where the numbers of a slice of the sources lie."""
    begin, end = np.searchsorted(ascending, (sources.start, sources.stop))
    return slice(int(begin), int(end))


def _unit(unit: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"unit": pa.array([unit], pa.int32())})
