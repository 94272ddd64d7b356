"""The work of a task: the candidates of some partitions of sources. Runs on workers, over files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.graph.entity_location import positions_in
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.exact_ranks import CANDIDATE_TILE, QUERY_TILE, Excluded
from twhin_spark.kernels.topk import Best, Candidates, TopK, exact_scores, in_order
from twhin_spark.retrieval.entity_files import Files, Known, Layout, filled
from twhin_spark.retrieval.resolved_query import Asked

_CALIBRATION_SECONDS = 0.1


@dataclass(frozen=True)
class Sources:
    """The m sources of a query in a unit.

    vectors: float32 (m, dim), as the relation shows them, in fixed point. place: int64 (m,), among all of their type.
    known: the training edges of these sources; known.source is the index of a source here.
    """

    vectors: Floats
    place: NDArray[np.int64]
    known: Known


@dataclass(frozen=True)
class Work:
    """What a unit took. flops: of the products with all targets; sgemm: what float32 products alone reach here, /s."""

    sources: int
    flops: float
    seconds: float
    sgemm: float


@dataclass(frozen=True)
class Finder:
    """Finds the candidates of one query. cuts: (units + 1,), unit i has the source partitions from cuts[i] on."""

    files: Files
    layout: Layout
    query: Asked
    cuts: Sequence[int]

    def exact(self, unit: int) -> Work:
        """Scores all targets for the unit's sources, and keeps what it finds."""
        started = time.perf_counter()
        sources = self.sources(unit)
        top = TopK(sources.vectors, self.query.k)
        flops, speed = 0.0, 0.0
        for target in self.targets():
            top.add(target.candidates, self.excluded(sources, target))
            flops += 2.0 * sources.vectors.size * len(target.candidates.vectors)
            speed = speed or sgemm_speed(sources.vectors, target.candidates.vectors)
        self.write(unit, top.best())
        return Work(len(sources.place), flops, time.perf_counter() - started, speed)

    def rescored(self, unit: int) -> Work:
        """Scores exactly what an index has proposed for the unit's sources (`proposals`), and keeps the best k."""
        started = time.perf_counter()
        sources = self.sources(unit)
        proposed: NDArray[np.int64] = self.files.scratch.read(f"proposals/{self.query.name}/{unit}")["places"]
        scores = np.full(proposed.shape, -np.inf)
        keys = np.zeros(proposed.shape, np.int64)
        by_place = np.argsort(proposed, axis=None, kind="stable")
        ordered = proposed.ravel()[by_place]
        for target in self.targets():
            place = target.candidates.place
            begin, end = np.searchsorted(ordered, (place[0], place[-1] + 1))
            source, column = np.divmod(by_place[begin:end], proposed.shape[1])
            index = np.searchsorted(place, ordered[begin:end])  # an index is of all targets, so each is there
            found = exact_scores(sources.vectors, target.candidates.vectors, source, index)
            hidden = self.excluded(sources, target)
            width = len(place)
            found[np.isin(source * width + index, hidden.query * width + hidden.candidate)] = -np.inf
            scores[source, column] = found
            keys[source, column] = target.candidates.key[index]
        proposed[~np.isfinite(scores)] = -1
        best = in_order(scores, keys, proposed)
        self.write(unit, Best(best.scores[:, : self.query.k], best.places[:, : self.query.k]))
        return Work(len(sources.place), 0.0, time.perf_counter() - started, 0.0)

    def sources(self, unit: int) -> Sources:
        parts, known = [], []
        taken = 0
        for partition in range(self.cuts[unit], self.cuts[unit + 1]):
            if not self.layout.counts[self.query.source][partition]:
                continue
            allowed = self.files.allowed(self.query, "sources", partition)
            if not len(allowed):
                continue
            parts.append(self.query.seen(self.files.vectors(self.query.source, partition)[allowed]))
            if self.has_edges:
                edges = self.files.known(self.query, partition)
                source = positions_in(edges.source, allowed)
                mine = source >= 0
                known.append((source[mine] + taken, edges.partition[mine], edges.row[mine], edges.relation[mine]))
            taken += len(allowed)
        empty = (np.zeros(0, np.int64),) * 4
        columns = [np.concatenate(column) for column in zip(empty, *known, strict=True)]
        order = np.argsort(columns[1], kind="stable")
        edges = Known(*(column[order] for column in columns))
        vectors = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
        return Sources(vectors, self.source_places(unit), edges)

    @property
    def has_edges(self) -> bool:
        return bool(self.query.exclude) or self.query.method == "mixture"

    def source_places(self, unit: int) -> NDArray[np.int64]:
        """The places (m,) of the unit's sources among all of their type, in the order of `sources`."""
        parts = [np.zeros(0, np.int64)]
        for partition in range(self.cuts[unit], self.cuts[unit + 1]):
            if self.layout.counts[self.query.source][partition]:
                first = self.layout.first(self.query.source, partition)
                parts.append(first + self.files.allowed(self.query, "sources", partition))
        return np.concatenate(parts)

    def targets(self) -> Iterator[Target]:
        """The allowed targets, a partition at a time."""
        for partition in filled(self.layout, self.query.target):
            allowed = self.files.allowed(self.query, "targets", partition)
            if len(allowed):
                order = self.files.order(self.query.target, partition)
                vectors = self.files.measured(self.query.target, self.query.measure, partition)
                first = self.layout.first(self.query.target, partition)
                if len(allowed) < len(vectors):
                    vectors = vectors[allowed]
                candidates = Candidates(vectors, order["key"][allowed], first + allowed)
                yield Target(partition, candidates, order["row"][allowed])

    def excluded(self, sources: Sources, target: Target) -> Excluded:
        """What no source may be given of a partition of targets: its known targets, and itself."""
        query, candidate = self.edges_to(sources, target, self.query.exclude)
        if self.query.source == self.query.target:
            itself = positions_in(sources.place, target.candidates.place)
            query = np.concatenate([query, np.flatnonzero(itself >= 0)])
            candidate = np.concatenate([candidate, itself[itself >= 0]])
        return Excluded(query, candidate)

    def edges_to(self, sources: Sources, target: Target, relations: Sequence[int]) -> tuple[Integers, Integers]:
        """The training edges of some relations to a partition of targets: source index and target index, (e,) each."""
        known = sources.known
        begin, end = np.searchsorted(known.partition, (target.partition, target.partition + 1))
        mine = slice(begin, end)
        wanted = np.isin(known.relation[mine], relations)
        by_row = np.argsort(target.row, kind="stable")
        at = positions_in(known.row[mine], target.row[by_row])
        there = wanted & (at >= 0)
        return known.source[mine][there], by_row[at[there]]

    def write(self, unit: int, best: Best) -> None:
        self.files.scratch.write(f"found/{self.query.name}/{unit}", scores=best.scores, places=best.places)


@dataclass(frozen=True)
class Target:
    """The allowed targets of one partition, and their rows in the graph (n,)."""

    partition: int
    candidates: Candidates
    row: Integers


def sgemm_speed(queries: Floats, candidates: Floats) -> float:
    """Operations a second of float32 products of the kernel's tiles, with nothing else done."""
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
