"""Candidates by communities: the first targets of a source's first communities, scored. Runs on workers, over files.

SimClusters' approximate search for cosines (V. Satuluri et al., SimClusters, KDD 2020, section 4): every community has
a list of its targets with the largest weights. The lists of a source's largest communities are united, and what they
contain is scored with the whole representations. For example, a source {3: .8, 7: .1} and the lists 3: a, b and 7: b, c
give the candidates a, b and c, of which a target {3: .5, 7: 1} has the dot product .8 · .5 + .1 · 1 = .5.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from twhin_spark.evaluation.scratch import Arrays
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.pair_scores import Sparse
from twhin_spark.kernels.topk import NO_POSITION, BestCandidates, in_order
from twhin_spark.retrieval.candidate_task import CandidateFinder, UnitStats

_BLOCK = 512  # sources that are scored at once


@dataclass(frozen=True)
class CommunityTask:
    """The work of a query's tasks.

    Attributes
    ----------
    finder
        Finder of the query.
    communities
        int64 (c,): the ids of all communities, ascending.
    searched
        Number of a source's communities whose lists are searched.
    """

    finder: CandidateFinder
    communities: Integers
    searched: int

    def find(self, unit: int) -> UnitStats:
        """Write the candidates of the unit's sources."""
        started = time.perf_counter()
        query, sources = self.finder.query, self.finder.sources(unit)
        left = self._sources(unit)
        first = first_entries(left, self.searched)
        left = scaled(left, query.measure)
        best = BestSoFar(len(sources.position), query.k)
        for target in self.finder.targets():
            arrays = self._read("targets", query.target, target.partition)
            offset = self.finder.layout.first_position(query.target, target.partition)
            rows = target.candidates.position - offset
            right = scaled(self._matrix(arrays, arrays["weight"]), query.measure)[rows]
            listed = self._matrix(arrays, arrays["listed"].astype(np.float64))[rows]
            listed.eliminate_zeros()
            excluded = self.finder.excluded(sources, target)
            forbidden = sparse.csr_array(
                (np.ones(len(excluded.query), bool), (excluded.query, excluded.candidate)),
                shape=(left.shape[0], len(rows)),
            )
            for begin in range(0, left.shape[0], _BLOCK):
                block = slice(begin, begin + _BLOCK)
                reached = sparse.csr_array((first[block] @ listed.T).astype(bool))
                found = reached > reached.multiply(forbidden[block])
                scores = sparse.csr_array((left[block] @ right.T).multiply(found)).tocoo()
                row, column = scores.coords
                best.add(begin + row, scores.data, target.candidates.key[column], target.candidates.position[column])
        self.finder.write(unit, best.candidates())
        return UnitStats(len(sources.position), 0.0, time.perf_counter() - started, 0.0)

    def _sources(self, unit: int) -> Sparse:
        """Read the representations of the unit's sources, (m, c)."""
        query, layout = self.finder.query, self.finder.layout
        parts = [sparse.csr_array((0, len(self.communities)), dtype=np.float64)]
        for partition in range(self.finder.bounds[unit], self.finder.bounds[unit + 1]):
            if layout.counts[query.source][partition]:
                allowed = self.finder.files.allowed(query, "sources", partition)
                arrays = self._read("sources", query.source, partition)
                parts.append(self._matrix(arrays, arrays["weight"])[allowed])
        return sparse.csr_array(sparse.vstack(parts, format="csr"))

    def _read(self, end: str, entity_type: str, partition: int) -> Arrays:
        return self.finder.files.communities(self.finder.query, end, entity_type, partition)

    def _matrix(self, arrays: Arrays, values: NDArray[np.float64]) -> Sparse:
        """Return the representations of a partition, (n, c): columns ascend, so that sums are always in this order."""
        columns = np.searchsorted(self.communities, arrays["community"])
        shape = (len(arrays["starts"]) - 1, len(self.communities))
        matrix = sparse.csr_array((values.astype(np.float64), columns, arrays["starts"]), shape=shape)
        matrix.sort_indices()
        return matrix


def first_entries(matrix: Sparse, count: int) -> Sparse:
    """Return the largest entries of each row, at most `count`, as ones; of equal ones those of the first columns."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    rank = np.arange(len(row)) - matrix.indptr[row[order]]
    kept = order[rank < count]
    return sparse.csr_array((np.ones(len(kept)), (row[kept], matrix.indices[kept])), shape=matrix.shape)


def scaled(matrix: Sparse, measure: str) -> Sparse:
    """Divide rows by the norm of a measure, so that dot products are its scores."""
    if measure == "dot":
        return matrix
    squares: NDArray[np.float64] = matrix.multiply(matrix).sum(axis=1)
    norm = np.sqrt(squares) if measure == "cosine" else np.log1p(squares)
    inverse = np.divide(1, norm, out=np.zeros(len(norm)), where=norm > 0)
    scaled = matrix.copy()
    scaled.data = matrix.data * np.repeat(inverse, np.diff(matrix.indptr))
    return scaled


class BestSoFar:
    """The best k candidates of m sources, of parts that come one after the other."""

    def __init__(self, sources: int, k: int) -> None:
        self._k = k
        self._scores = np.full((sources, k), -np.inf)
        self._keys = np.zeros((sources, k), np.int64)
        self._positions = np.full((sources, k), NO_POSITION, np.int64)

    def add(self, row: Integers, score: NDArray[np.float64], key: Integers, position: Integers) -> None:
        """Add candidates (n,) of some sources."""
        rows = np.unique(row)
        if not len(rows):
            return
        kept_row, column = np.nonzero(self._positions[rows] >= 0)
        kept = (rows[kept_row], column)
        row = np.concatenate([rows[kept_row], row])
        score = np.concatenate([self._scores[kept], score])
        key = np.concatenate([self._keys[kept], key])
        position = np.concatenate([self._positions[kept], position])
        order = np.lexsort((position, key, -score, row))
        row, score, key, position = row[order], score[order], key[order], position[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        best = rank < self._k
        cells = row[best], rank[best]
        self._scores[cells], self._keys[cells], self._positions[cells] = score[best], key[best], position[best]

    def candidates(self) -> BestCandidates:
        """Return the best of all parts."""
        return in_order(self._scores, self._keys, self._positions)
