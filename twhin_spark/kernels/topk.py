"""Exact top k: the candidates with the highest scores under each query, by one float32 product and few exact scores.

A float32 score ŝ of vectors of length d is within ε = γ |q| max|c| of the exact one s, where γ = du / (1 - du) and
u = 2^-24, in whatever order it was summed (N. Higham: Accuracy and Stability of Numerical Algorithms, section 3.1). If
t is the k-th highest ŝ so far, k candidates have s >= t - ε, so one with ŝ < t - 2ε is not among the best k. What is
left is scored exactly: vectors are in fixed point (`ranking.fixed_point`), so that float64 holds every sum of their
products. Equal scores come in the order of key, then position. So the result depends on no tile, part or CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Floats, Integers, number_within
from twhin_spark.kernels.exact_ranks import CANDIDATE_TILE, QUERY_TILE, Excluded, fixed_point

NO_POSITION = -1
_SLACK = 128  # so many more than k may wait for their exact score before the worst of them are dropped
_EXACT_ROWS = 512  # pairs of vectors that are held in float64 at a time


@dataclass(frozen=True)
class Candidates:
    """n candidates: vectors float32 (n, dim), from `in_fixed_point` or `unit_vectors`; key and position int64 (n,).

    Equal scores are ordered by key, then by position. A position is a candidate's number among all candidates.
    """

    vectors: NDArray[np.float32]
    key: NDArray[np.int64]
    position: NDArray[np.int64]


@dataclass(frozen=True)
class BestCandidates:
    """The best k candidates of each of m queries, in order: scores float64 (m, k), positions int64 (m, k).

    Where there are fewer than k the rest is -inf and NO_POSITION.
    """

    scores: NDArray[np.float64]
    positions: NDArray[np.int64]


def in_fixed_point(vectors: Floats) -> NDArray[np.float32]:
    """Float32 vectors (n, dim) as `ranking.fixed_point` rounds them, which float32 holds exactly."""
    return fixed_point(vectors).astype(np.float32)


def unit_vectors(vectors: Floats) -> NDArray[np.float32]:
    """The vectors (n, dim) over their norms, in fixed point; a zero vector stays zero. Their dot product is the cosine.

    A vector's numbers depend on nothing but itself: its squares are summed exactly.
    """
    unit = np.empty(vectors.shape, np.float32)
    for begin in range(0, len(vectors), CANDIDATE_TILE):  # so that little is held in float64
        part = slice(begin, begin + CANDIDATE_TILE)
        rounded = fixed_point(vectors[part])
        norms = np.sqrt(np.einsum("nd,nd->n", rounded, rounded))[:, None]
        scaled = np.divide(rounded, norms, out=np.zeros_like(rounded), where=norms > 0)
        unit[part] = fixed_point(scaled.astype(np.float32))
    return unit


def comparison_vectors(vectors: Floats, comparator: str) -> Floats:
    """The vectors (n, dim) whose dot products are the scores of a comparator, `dot` or `cosine`."""
    return unit_vectors(vectors) if comparator == "cosine" else vectors


def exact_scores(queries: Floats, candidates: Floats, query: Integers, candidate: Integers) -> NDArray[np.float64]:
    """The scores of p pairs of rows, of queries (m, dim) and candidates (n, dim) in fixed point: float64 (p,)."""
    scores = np.empty(len(query))
    for begin in range(0, len(query), _EXACT_ROWS):
        part = slice(begin, begin + _EXACT_ROWS)
        left, right = queries[query[part]], candidates[candidate[part]]
        scores[part] = np.vecdot(left.astype(np.float64), right.astype(np.float64))
    return scores


def in_order(scores: NDArray[np.float64], keys: NDArray[np.int64], positions: NDArray[np.int64]) -> BestCandidates:
    """Sort the candidates (m, k) of each of m queries by score, key and position; an empty slot has NO_POSITION."""
    order = np.argsort(-scores, axis=1, kind="stable")
    scores = np.take_along_axis(scores, order, axis=1)
    keys = np.take_along_axis(keys, order, axis=1)
    positions = np.take_along_axis(positions, order, axis=1)
    tied = np.flatnonzero(((scores[:, 1:] == scores[:, :-1]) & (positions[:, 1:] != NO_POSITION)).any(axis=1))
    for row in tied.tolist():
        positions[row] = positions[row, np.lexsort((positions[row], keys[row], -scores[row]))]
    return BestCandidates(scores, positions)


class TopK:
    """Finds the best k of candidates that come in parts.

    queries: float32 (m, dim), in fixed point. Holds m · k · 24 bytes.
    """

    def __init__(self, queries: NDArray[np.float32], k: int) -> None:
        self.k = k
        self._queries = queries
        self._norms = np.linalg.norm(queries.astype(np.float64), axis=1)
        self._scores = np.full((len(queries), k), -np.inf)
        self._keys = np.zeros((len(queries), k), np.int64)
        self._positions = np.full((len(queries), k), NO_POSITION, np.int64)

    def add(self, candidates: Candidates, excluded: Excluded) -> None:
        """Takes the next candidates in; the excluded pairs of their rows and those of the queries do not count."""
        if not len(candidates.vectors):
            return
        errors = _gamma(candidates.vectors.shape[1]) * self._norms * _longest(candidates.vectors)
        errors += float(np.finfo(np.float32).tiny)
        by_tile = np.argsort(excluded.query // QUERY_TILE * len(candidates.vectors) + excluded.candidate, kind="stable")
        query, candidate = excluded.query[by_tile], excluded.candidate[by_tile]
        for first in range(0, len(self._queries), QUERY_TILE):
            tile = slice(first, min(first + QUERY_TILE, len(self._queries)))
            low, high = np.searchsorted(query // QUERY_TILE, (first // QUERY_TILE, first // QUERY_TILE + 1))
            hidden = Excluded(query[low:high] - first, candidate[low:high])
            self._add_to_tile(tile, candidates, hidden, errors[tile])

    def best(self) -> BestCandidates:
        """The best so far, in order."""
        return in_order(self._scores, self._keys, self._positions)

    def _add_to_tile(self, tile: slice, candidates: Candidates, hidden: Excluded, errors: Floats) -> None:
        """Takes candidates in for the queries of one tile (t,), whose float32 scores are within errors (t,)."""
        queries, vectors = self._queries[tile], candidates.vectors
        waiting = _Waiting(len(queries), self.k, errors, self._scores[tile].min(axis=1))
        buffer = np.empty((len(queries), CANDIDATE_TILE), np.float32)
        for begin in range(0, len(vectors), CANDIDATE_TILE):
            part = vectors[begin : begin + CANDIDATE_TILE]
            scores = np.matmul(queries, part.T, out=buffer[:, : len(part)])  # (t, CANDIDATE_TILE)
            low, high = np.searchsorted(hidden.candidate, (begin, begin + len(part)))
            scores[hidden.query[low:high], hidden.candidate[low:high] - begin] = -np.inf
            waiting.add(scores, begin)
            if waiting.is_crowded:
                self._settle(tile, candidates, waiting)
        self._settle(tile, candidates, waiting)

    def _settle(self, tile: slice, candidates: Candidates, waiting: _Waiting) -> None:
        """Scores exactly who waits, and keeps the best k of them and of those before."""
        filled = waiting.filled
        query, column = np.nonzero(filled)
        if len(query):
            row = waiting.rows[:, : filled.shape[1]][filled]
            scores = np.full(filled.shape, -np.inf)
            keys, positions = np.zeros((2, *filled.shape), np.int64)
            scores[query, column] = exact_scores(self._queries[tile], candidates.vectors, query, row)
            keys[query, column] = candidates.key[row]
            positions[query, column] = candidates.position[row]
            self._merge(tile, scores, keys, positions)
        waiting.clear(self._scores[tile].min(axis=1))

    def _merge(self, tile: slice, scores: Floats, keys: Integers, positions: Integers) -> None:
        scores = np.concatenate([self._scores[tile], scores], axis=1)  # (t, k + w)
        keys = np.concatenate([self._keys[tile], keys], axis=1)
        positions = np.concatenate([self._positions[tile], positions], axis=1)
        last = scores.shape[1] - self.k
        bound = np.partition(scores, last, axis=1)[:, last, None]  # the k-th highest, -inf where there are fewer
        kept = scores > bound
        equal = (scores == bound) & np.isfinite(bound)
        room = self.k - kept.sum(axis=1)
        crowded = np.flatnonzero(equal.sum(axis=1) > room)
        for row in crowded.tolist():
            tied = np.flatnonzero(equal[row])
            order = np.lexsort((positions[row, tied], keys[row, tied]))
            equal[row, tied[order[room[row] :]]] = False
        kept |= equal
        query, _ = np.nonzero(kept)
        at = query, number_within(query)
        for mine, values, empty in (
            (self._scores[tile], scores, -np.inf),
            (self._keys[tile], keys, 0),
            (self._positions[tile], positions, NO_POSITION),
        ):
            mine[:] = empty
            mine[at] = values[kept]


class _Waiting:
    """Candidates of a part that may be among the best k of the t queries of a tile, by their float32 scores."""

    def __init__(self, queries: int, k: int, errors: Floats, bounds: Floats) -> None:
        self._k = k
        self._errors = errors
        self._count = np.zeros(queries, np.int64)
        width = k + _SLACK + CANDIDATE_TILE
        self._scores = np.full((queries, width), -np.inf, np.float32)
        self.rows = np.zeros((queries, width), np.int32)
        self.clear(bounds)

    def clear(self, bounds: Floats) -> None:
        """No one waits; who comes must not be below the k-th highest exact score, bounds (t,)."""
        self._scores[:, : self._count.max()] = -np.inf
        self._count[:] = 0
        self._below = _below(bounds - self._errors)

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which positions are taken, (t, w) for the w that are in use."""
        return np.arange(self._count.max()) < self._count[:, None]

    @property
    def is_crowded(self) -> bool:
        """Whether the scores of so many are so close that only exact ones can tell who is dropped."""
        return bool(self._count.max() > self._k + _SLACK)

    def add(self, scores: NDArray[np.float32], first: int) -> None:
        """Takes in those of the candidates first, first + 1, ... that their scores (t, n) do not rule out."""
        at = np.flatnonzero(scores > self._below[:, None])
        if not len(at):
            return
        query, column = np.divmod(at, scores.shape[1])
        position = self._count[query] + number_within(query)
        self._scores[query, position] = scores[query, column]
        self.rows[query, position] = first + column
        self._count += np.bincount(query, minlength=len(self._count))
        if self.is_crowded:
            self._drop()

    def _drop(self) -> None:
        width = int(self._count.max())
        scores, rows = self._scores[:, :width], self.rows[:, :width]
        bound = np.partition(scores, width - self._k, axis=1)[:, width - self._k]
        self._below = np.maximum(self._below, _below(bound - 2 * self._errors))
        kept = scores > self._below[:, None]
        query, _ = np.nonzero(kept)
        at = query, number_within(query)
        kept_scores, kept_rows = scores[kept], rows[kept]
        scores[:] = -np.inf
        scores[at], rows[at] = kept_scores, kept_rows
        self._count = np.bincount(query, minlength=len(kept))


def _below(bounds: Floats) -> NDArray[np.float32]:
    """The next float32 numbers below the bounds (t,): what is above them is not below the bounds."""
    rounded = bounds.astype(np.float32)
    return np.nextafter(rounded, np.float32(-np.inf))


def _gamma(dim: int) -> float:
    unit = 2.0**-24
    return dim * unit / (1 - dim * unit)


def _longest(vectors: NDArray[np.float32]) -> float:
    """A number that no norm of the vectors (n, dim) is above, nor much below it."""
    scale = np.abs(vectors).max()
    if scale == 0:
        return 0.0
    scaled = vectors / scale  # so that no square leaves the range of float32
    return float(scale) * float(np.sqrt(np.vecdot(scaled, scaled).max())) * 1.001
