"""The search for the candidates of some source partitions. Runs on workers, over files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.graph.entity_location import positions_in
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.exact_ranks import CANDIDATE_TILE, QUERY_TILE, Excluded
from twhin_spark.kernels.topk import BestCandidates, Candidates, TopK, exact_scores, in_order
from twhin_spark.retrieval.entity_files import EntityFiles, EntityLayout, KnownEdges
from twhin_spark.retrieval.resolved_query import ResolvedQuery

_CALIBRATION_SECONDS = 0.1


@dataclass(frozen=True)
class UnitSources:
    """The m sources of a query in a unit.

    Attributes
    ----------
    vectors
        float32 (m, dim), after the relation's operator, in fixed point.
    position
        int64 (m,), among all entities of their type.
    known_edges
        Their training edges. `known_edges.source` is an index into these m sources.
    """

    vectors: Floats
    position: NDArray[np.int64]
    known_edges: KnownEdges


@dataclass(frozen=True)
class TargetPartition:
    """The allowed targets of one partition. row: their rows in the graph (n,)."""

    partition: int
    candidates: Candidates
    row: Integers


@dataclass(frozen=True)
class UnitStats:
    """The work of a unit.

    Attributes
    ----------
    sources
        Number of sources.
    flops
        Operations of the products with all targets.
    seconds
        Time of the task.
    sgemm
        Operations a second that float32 products alone reach in the same task.
    """

    sources: int
    flops: float
    seconds: float
    sgemm: float


@dataclass(frozen=True)
class CandidateFinder:
    """Finds the candidates of one query.

    Attributes
    ----------
    files, layout
        The entities.
    query
        The query.
    bounds
        Source partitions of the units, (units + 1,): unit i has the partitions bounds[i] to bounds[i + 1] - 1.
    """

    files: EntityFiles
    layout: EntityLayout
    query: ResolvedQuery
    bounds: Sequence[int]

    @property
    def units(self) -> int:
        """The number of units."""
        return len(self.bounds) - 1

    def score_all(self, unit: int) -> UnitStats:
        """Score all targets for the unit's sources, and write the best k."""
        started = time.perf_counter()
        sources = self.sources(unit)
        top = TopK(sources.vectors, self.query.k)
        flops, speed = 0.0, 0.0
        for target in self.targets():
            top.add(target.candidates, self.excluded(sources, target))
            flops += 2.0 * sources.vectors.size * len(target.candidates.vectors)
            speed = speed or sgemm_speed(sources.vectors, target.candidates.vectors)
        self.write(unit, top.best())
        return UnitStats(len(sources.position), flops, time.perf_counter() - started, speed)

    def score_proposals(self, unit: int) -> UnitStats:
        """Score exactly the targets that an index has proposed for the unit's sources, and write the best k."""
        started = time.perf_counter()
        sources = self.sources(unit)
        proposed: NDArray[np.int64] = self.files.scratch.read(f"proposals/{self.query.name}/{unit}")["positions"]
        scores = np.full(proposed.shape, -np.inf)
        keys = np.zeros(proposed.shape, np.int64)
        by_position = np.argsort(proposed, axis=None, kind="stable")
        ordered = proposed.ravel()[by_position]
        for target in self.targets():
            position = target.candidates.position
            begin, end = np.searchsorted(ordered, (position[0], position[-1] + 1))
            source, column = np.divmod(by_position[begin:end], proposed.shape[1])
            index = np.searchsorted(position, ordered[begin:end])  # the index has all targets, so each is there
            exact = exact_scores(sources.vectors, target.candidates.vectors, source, index)
            excluded = self.excluded(sources, target)
            width = len(position)
            exact[np.isin(source * width + index, excluded.query * width + excluded.candidate)] = -np.inf
            scores[source, column] = exact
            keys[source, column] = target.candidates.key[index]
        proposed[~np.isfinite(scores)] = -1
        best = in_order(scores, keys, proposed)
        self.write(unit, BestCandidates(best.scores[:, : self.query.k], best.positions[:, : self.query.k]))
        return UnitStats(len(sources.position), 0.0, time.perf_counter() - started, 0.0)

    def sources(self, unit: int) -> UnitSources:
        """Read the unit's sources."""
        parts, columns_of = [], []
        first = 0  # index of the partition's first source
        for partition in range(self.bounds[unit], self.bounds[unit + 1]):
            if not self.layout.counts[self.query.source][partition]:
                continue
            allowed = self.files.allowed(self.query, "sources", partition)
            if not len(allowed):
                continue
            parts.append(self.query.source_vectors(self.files.vectors(self.query.source, partition)[allowed]))
            if self.query.exclude or self.query.method == "mixture":
                edges = self.files.known_edges(self.query, partition)
                source = positions_in(edges.source, allowed)
                kept = source >= 0
                columns_of.append((source[kept] + first, edges.partition[kept], edges.row[kept], edges.relation[kept]))
            first += len(allowed)
        empty = (np.zeros(0, np.int64),) * 4
        columns = [np.concatenate(column) for column in zip(empty, *columns_of, strict=True)]
        order = np.argsort(columns[1], kind="stable")
        edges = KnownEdges(*(column[order] for column in columns))
        vectors = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
        return UnitSources(vectors, self.source_positions(unit), edges)

    def source_positions(self, unit: int) -> NDArray[np.int64]:
        """Return the positions (m,) of the unit's sources, in the order of `sources`."""
        parts = [np.zeros(0, np.int64)]
        for partition in range(self.bounds[unit], self.bounds[unit + 1]):
            if self.layout.counts[self.query.source][partition]:
                first = self.layout.first_position(self.query.source, partition)
                parts.append(first + self.files.allowed(self.query, "sources", partition))
        return np.concatenate(parts)

    def targets(self) -> Iterator[TargetPartition]:
        """Yield the allowed targets partition by partition."""
        for partition in self.layout.filled(self.query.target):
            allowed = self.files.allowed(self.query, "targets", partition)
            if len(allowed):
                order = self.files.order(self.query.target, partition)
                vectors = self.files.target_vectors(self.query.target, self.query.measure, partition)
                first = self.layout.first_position(self.query.target, partition)
                if len(allowed) < len(vectors):
                    vectors = vectors[allowed]
                candidates = Candidates(vectors, order["key"][allowed], first + allowed)
                yield TargetPartition(partition, candidates, order["row"][allowed])

    def excluded(self, sources: UnitSources, target: TargetPartition) -> Excluded:
        """Return the pairs of a source and a target that are no candidates: excluded edges, and a source itself."""
        query, candidate = self._excluded_edges(sources, target)
        if self.query.source == self.query.target:
            itself = positions_in(sources.position, target.candidates.position)
            query = np.concatenate([query, np.flatnonzero(itself >= 0)])
            candidate = np.concatenate([candidate, itself[itself >= 0]])
        return Excluded(query, candidate)

    def _excluded_edges(self, sources: UnitSources, target: TargetPartition) -> tuple[Integers, Integers]:
        """Return source index and target index (e,) of the excluded training edges to a partition of targets."""
        known_edges = sources.known_edges
        begin, end = np.searchsorted(known_edges.partition, (target.partition, target.partition + 1))
        edges = slice(begin, end)
        by_row = np.argsort(target.row, kind="stable")
        position = positions_in(known_edges.row[edges], target.row[by_row])
        kept = np.isin(known_edges.relation[edges], self.query.exclude) & (position >= 0)
        return known_edges.source[edges][kept], by_row[position[kept]]

    def write(self, unit: int, best: BestCandidates) -> None:
        """Write the best candidates of the unit's sources."""
        self.files.scratch.write(f"best/{self.query.name}/{unit}", scores=best.scores, positions=best.positions)


def sgemm_speed(queries: Floats, candidates: Floats) -> float:
    """Measure the operations a second of float32 products of the kernel's tiles, with no other work."""
    left, right = queries[:QUERY_TILE], candidates[:CANDIDATE_TILE].T
    out = np.empty((len(left), right.shape[1]), np.float32)
    if not out.size:
        return 0.0
    started = time.perf_counter()
    flops = 0.0
    while (seconds := time.perf_counter() - started) < _CALIBRATION_SECONDS:
        np.matmul(left, right, out=out)
        flops += 2.0 * out.size * left.shape[1]
    return flops / seconds
