"""Work of the ranking tasks, on files that they share. Runs on workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.evaluation.known_positives import KnownPositives, QuerySet
from twhin_spark.evaluation.scoring_models import ScoringModel
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.graph.entity_location import ROW_BITS, Locations, location_of, partition_of, positions_in, rows_in
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.exact_ranks import Excluded, Positives, count_above, positive_scores

Scores = NDArray[np.float64]
_ENTITIES_TOGETHER = 4096  # Partitions are joined until they have this many entities: a product of few rows is slow.
COUNTS = ("new_greater", "new_equal", "filtered_greater", "filtered_equal")


@dataclass(frozen=True)
class RankingInput:
    """A query set and the model to rank its positives by, under a unique name."""

    name: str
    query_set: QuerySet
    model: ScoringModel


@dataclass(frozen=True)
class RankingTask:
    """The work that all tasks share.

    Parameters
    ----------
    source_cuts
        (batches + 1,): batch i has the sources of the partitions source_cuts[i], ..., source_cuts[i + 1] - 1.
    target_ranges
        The partitions of targets that have files of known positives, ascending, cut into ranges.
    """

    known_positives: KnownPositives
    requests: Sequence[RankingInput]
    source_cuts: Sequence[int]
    target_ranges: Sequence[Sequence[int]]

    @property
    def scratch(self) -> Scratch:
        """The folder of the files that the tasks share."""
        return self.known_positives.scratch

    def write_vectors(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Write the vectors of the sources of one request's batch: unit = request · batches + batch."""
        for unit in units:
            number, batch = divmod(unit, len(self.source_cuts) - 1)
            request = self.requests[number]
            parts = []
            for partition in range(self.source_cuts[batch], self.source_cuts[batch + 1]):
                rows = rows_in(request.query_set.queries.sources, partition)
                if len(rows):
                    parts.append(request.model.sources.read(partition, rows))
            if parts:
                self.scratch.write(f"vectors/{request.name}/{batch}", vectors=np.concatenate(parts))
            yield _unit(unit)

    def write_scores(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Write the positions and scores of the queries whose positives lie in a range of partitions: unit = range."""
        for unit in units:
            for request in self.requests:
                queries = request.query_set.queries
                query = _in_partitions(queries.target, self.target_ranges[unit])
                scores = np.empty(len(query))
                for piece in _pieces(partition_of(queries.target[query])):
                    positives = _target_vectors(request, queries.target[query[piece]])  # (k, dim)
                    source = queries.source[query[piece]]
                    for sources, vectors in self._batches(request):
                        part = np.flatnonzero((source >= sources.start) & (source < sources.stop))
                        scores[piece.start + part] = positive_scores(
                            vectors, positives[part], source[part] - sources.start
                        )
                self.scratch.write(f"scores/{request.name}/{unit}", query=query, scores=scores)
            yield _unit(unit)

    def count(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Count the candidates of some ranges that score above each positive: columns request, query and COUNTS."""
        for number, request in enumerate(self.requests):
            scores = self._scores(request)
            counts = np.zeros((len(COUNTS), len(scores)), np.int64)
            for unit in units:
                for block in self._blocks(request, self.target_ranges[unit]):
                    self._count_block(request, block, scores, counts)
            columns = {
                "request": np.full(len(scores), number, np.int32),
                "query": np.arange(len(scores), dtype=np.int32),
            }
            yield pa.RecordBatch.from_pydict(columns | dict(zip(COUNTS, counts, strict=True)))

    def _count_block(self, request: RankingInput, block: _CandidateBlock, scores: Scores, counts: Integers) -> None:
        """Add the counts of one block of candidates to `counts` (4, m).

        Filtered counts are the counts among new candidates less those of the source's held-out targets. Scores are
        exact, so both compare alike. If 7 new candidates score above a positive, and 2 of the source's other held-out
        targets are among them, 5 remain. The positive is a held-out target that ties with itself; it was not counted as
        a tie, so it must not be subtracted either.
        """
        queries, candidates = request.query_set.queries, block.vectors
        positive = positions_in(queries.target, block.locations)
        held_out = positions_in(queries.held_out_target, block.locations)
        in_block = np.flatnonzero(held_out >= 0)
        in_block_source = queries.held_out_source[in_block]  # ascending
        for sources, vectors in self._batches(request):
            batch = queries.of_sources(sources)
            source = queries.source[batch] - sources.start
            pairs = _within(block.known_source, sources)
            excluded = Excluded(block.known_source[pairs] - sources.start, block.known_candidate[pairs])
            positives = Positives(source, positive[batch], scores[batch])
            greater, equal = count_above(vectors, candidates, positives, excluded)
            counts[0, batch] += greater
            counts[1, batch] += equal

            part = _within(in_block_source, sources)
            held_out_source = in_block_source[part] - sources.start
            held_out_scores = positive_scores(vectors, candidates[held_out[in_block[part]]], held_out_source)
            held_out_counts = compare_within_groups(held_out_source, held_out_scores, source, scores[batch])
            counts[2, batch] += greater - held_out_counts[0]
            counts[3, batch] += equal - (held_out_counts[1] - (positive[batch] >= 0))

    def _blocks(self, request: RankingInput, partitions: Sequence[int]) -> Iterator[_CandidateBlock]:
        """Read the candidates of some partitions, small ones together."""
        blocks: list[_CandidateBlock] = []
        for number, partition in enumerate(partitions, start=1):
            rows = self.known_positives.candidates(request.query_set.relation, partition)["row"]
            pairs = self.known_positives.pairs(request.query_set.name, partition)
            vectors = request.model.targets.read(partition, rows)
            known_candidate = positions_in(pairs["row"], rows)
            blocks.append(_CandidateBlock(location_of(partition, rows), vectors, pairs["source"], known_candidate))
            if number == len(partitions) or sum(len(block.locations) for block in blocks) >= _ENTITIES_TOGETHER:
                yield _joined(blocks)
                blocks = []

    def _batches(self, request: RankingInput) -> Iterator[tuple[slice, Floats]]:
        """Read of each batch that has any sources their slice and their vectors."""
        queries = request.query_set.queries
        for batch in range(len(self.source_cuts) - 1):
            sources = queries.sources_in(self.source_cuts[batch], self.source_cuts[batch + 1])
            if sources.start < sources.stop:
                yield sources, self.scratch.read(f"vectors/{request.name}/{batch}")["vectors"]

    def _scores(self, request: RankingInput) -> Scores:
        """Read the scores of all positives (m,)."""
        scores = np.empty(len(request.query_set.queries))
        for unit in range(len(self.target_ranges)):
            part = self.scratch.read(f"scores/{request.name}/{unit}")
            scores[part["query"]] = part["scores"]
        return scores


@dataclass(frozen=True)
class _CandidateBlock:
    """The candidates of some partitions.

    locations: (n,), ascending; vectors: (n, dim).
    known_source, known_candidate: (k,), pairs that do not count, by source: positions of a source of the queries and
    of a candidate of this block.
    """

    locations: Locations
    vectors: Floats
    known_source: Integers
    known_candidate: Integers


def compare_within_groups(
    group: Integers, score: Floats, threshold_group: Integers, threshold: Floats
) -> tuple[Integers, Integers]:
    """Count the scores (k,) that are greater than, and equal to, each threshold (m,) of the same group.

    Each score is replaced by its number among all distinct values ("level"), so that group · levels + level orders by
    group, then score, and one binary search per threshold counts. The scores 0.5, 0.9, 0.7 of the groups 0, 0, 1 and
    the thresholds 0.5, 0.5 of the groups 0, 1 give greater 1, 1 and equal 1, 0.

    Returns
    -------
    greater, equal: (m,) each.
    """
    levels, level = np.unique(np.concatenate([score, threshold]), return_inverse=True)
    keys = np.sort(group.astype(np.int64) * len(levels) + level[: len(group)])
    threshold_keys = threshold_group.astype(np.int64) * len(levels) + level[len(group) :]
    below, up_to = np.searchsorted(keys, threshold_keys), np.searchsorted(keys, threshold_keys, side="right")
    end = np.searchsorted(keys, (threshold_group.astype(np.int64) + 1) * len(levels))
    return end - up_to, up_to - below


def _in_partitions(locations: Locations, partitions: Sequence[int]) -> Integers:
    """Return the positions of the locations (m,) from the first to the last of the partitions, by location.

    Equal locations stay in their order.
    """
    begin, end = partitions[0] << ROW_BITS, (partitions[-1] + 1) << ROW_BITS
    position = np.flatnonzero((locations >= begin) & (locations < end))
    return position[np.argsort(locations[position], kind="stable")]


def _target_vectors(request: RankingInput, targets: Locations) -> Floats:
    """Read the vectors of targets (k,), ascending and at least one: (k, dim)."""
    partitions = np.unique(partition_of(targets)).tolist()
    return np.concatenate([request.model.targets.read(number, rows_in(targets, number)) for number in partitions])


def _pieces(partition: Integers) -> Iterator[slice]:
    """Cut ascending partition numbers (k,) where they change, into pieces of _ENTITIES_TOGETHER or more but the last.

    If _ENTITIES_TOGETHER were 3, the numbers 0, 0, 1, 1, 1, 2 would give the slices 0:5 and 5:6.
    """
    begin = 0
    for end in [*(np.flatnonzero(np.diff(partition)) + 1).tolist(), len(partition)]:
        if end - begin >= _ENTITIES_TOGETHER or begin < end == len(partition):
            yield slice(begin, end)
            begin = end


def _joined(blocks: Sequence[_CandidateBlock]) -> _CandidateBlock:
    """Join the blocks of ascending partitions."""
    first = np.cumsum([0, *(len(block.locations) for block in blocks)])
    source = np.concatenate([block.known_source for block in blocks])
    candidate = np.concatenate([block.known_candidate + at for block, at in zip(blocks, first[:-1], strict=True)])
    order = np.argsort(source, kind="stable")
    return _CandidateBlock(
        np.concatenate([block.locations for block in blocks]),
        np.concatenate([block.vectors for block in blocks]),
        source[order],
        candidate[order],
    )


def _within(ascending: Integers, sources: slice) -> slice:
    """Return the slice of ascending source numbers that are in a slice of the sources."""
    begin, end = np.searchsorted(ascending, (sources.start, sources.stop))
    return slice(int(begin), int(end))


def _unit(unit: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"unit": pa.array([unit], pa.int32())})
