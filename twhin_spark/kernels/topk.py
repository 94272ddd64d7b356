"""Exact top k: the candidates with the highest scores of each query, from one float32 product and few exact scores.

A float32 score ŝ of a query q and a candidate c of length d is within ε = γ |q| max|c| of the exact score s, for any
order of summation, where γ = du / (1 - du) and u = 2^-24 (N. Higham: Accuracy and Stability of Numerical Algorithms,
2nd ed. 2002, section 3.1). If t is the k-th highest ŝ so far, k candidates have s >= t - ε, so a candidate with
ŝ < t - 2ε is not among the best k. The others are scored exactly: vectors are in fixed point
(`exact_ranks.fixed_point`), so that float64 holds every sum of their products. Equal scores are ordered by key, then by
position. So the result depends on no tile, part or CPU.

For example, let k = 2 and ε = 0.01. Of the float32 scores 0.90, 0.80, 0.79 and 0.50, the second highest is 0.80, so
candidates below 0.78 are dropped. The first three are scored exactly; the third may turn out to be second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Floats, Integers, number_within
from twhin_spark.kernels.exact_ranks import CANDIDATE_TILE, QUERY_TILE, Excluded, fixed_point

NO_POSITION = -1
_SLACK = 128  # when more than k + _SLACK candidates wait for exact scores, the worst of them are dropped
_EXACT_ROWS = 512  # pairs of vectors that are in float64 at a time


@dataclass(frozen=True)
class Candidates:
    """n candidates. Equal scores are ordered by key, then by position.

    Attributes
    ----------
    vectors
        Vectors from `in_fixed_point` or `unit_vectors`, float32 (n, dim).
    key
        int64 (n,).
    position
        Numbers of the candidates among all candidates, int64 (n,).
    """

    vectors: NDArray[np.float32]
    key: NDArray[np.int64]
    position: NDArray[np.int64]


@dataclass(frozen=True)
class BestCandidates:
    """The best k candidates of each of m queries, best first.

    Attributes
    ----------
    scores
        float64 (m, k), -inf if there are fewer than k candidates.
    positions
        int64 (m, k), NO_POSITION if there are fewer than k candidates.
    """

    scores: NDArray[np.float64]
    positions: NDArray[np.int64]


def in_fixed_point(vectors: Floats) -> NDArray[np.float32]:
    """Round vectors float32 (n, dim) by `exact_ranks.fixed_point`; float32 holds the result exactly."""
    return fixed_point(vectors).astype(np.float32)


def unit_vectors(vectors: Floats) -> NDArray[np.float32]:
    """Return vectors (n, dim) over their norms, in fixed point, so that dot products are cosines.

    A zero vector stays zero. The result for a vector depends on no other vector: its squares are summed exactly.
    """
    unit = np.empty(vectors.shape, np.float32)
    for begin in range(0, len(vectors), CANDIDATE_TILE):  # so that few vectors are in float64 at a time
        part = slice(begin, begin + CANDIDATE_TILE)
        rounded = fixed_point(vectors[part])
        norms = np.sqrt(np.einsum("nd,nd->n", rounded, rounded))[:, None]
        scaled = np.divide(rounded, norms, out=np.zeros_like(rounded), where=norms > 0)
        unit[part] = fixed_point(scaled.astype(np.float32))
    return unit


def comparison_vectors(vectors: Floats, comparator: str) -> Floats:
    """Return vectors whose dot products are the scores of a similarity.

    Parameters
    ----------
    vectors
        (n, dim).
    comparator
        The similarity, `dot` or `cosine`.
    """
    return unit_vectors(vectors) if comparator == "cosine" else vectors


def exact_scores(queries: Floats, candidates: Floats, query: Integers, candidate: Integers) -> NDArray[np.float64]:
    """Return the exact scores of p pairs, float64 (p,).

    Parameters
    ----------
    queries, candidates
        Vectors in fixed point, (m, dim) and (n, dim).
    query, candidate
        Rows of each pair, (p,).
    """
    scores = np.empty(len(query))
    for begin in range(0, len(query), _EXACT_ROWS):
        part = slice(begin, begin + _EXACT_ROWS)
        left, right = queries[query[part]], candidates[candidate[part]]
        scores[part] = np.vecdot(left.astype(np.float64), right.astype(np.float64))
    return scores


def in_order(scores: NDArray[np.float64], keys: NDArray[np.int64], positions: NDArray[np.int64]) -> BestCandidates:
    """Sort the candidates of each query by score, key and position.

    Parameters
    ----------
    scores, keys, positions
        k candidates of each of m queries, (m, k); an empty slot has the score -inf and the position NO_POSITION.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    scores = np.take_along_axis(scores, order, axis=1)
    keys = np.take_along_axis(keys, order, axis=1)
    positions = np.take_along_axis(positions, order, axis=1)
    tied = np.flatnonzero(((scores[:, 1:] == scores[:, :-1]) & (positions[:, 1:] != NO_POSITION)).any(axis=1))
    for row in tied.tolist():
        positions[row] = positions[row, np.lexsort((positions[row], keys[row], -scores[row]))]
    return BestCandidates(scores, positions)


class TopK:
    """Search for the best k of candidates that come in parts. Its state takes m · k · 24 bytes.

    Parameters
    ----------
    queries
        Vectors in fixed point, float32 (m, dim).
    k
        Number of candidates of a query.
    """

    def __init__(self, queries: NDArray[np.float32], k: int) -> None:
        self.k = k
        self._queries = queries
        self._norms = np.linalg.norm(queries.astype(np.float64), axis=1)
        self._scores = np.full((len(queries), k), -np.inf)
        self._keys = np.zeros((len(queries), k), np.int64)
        self._positions = np.full((len(queries), k), NO_POSITION, np.int64)

    def add(self, candidates: Candidates, excluded: Excluded) -> None:
        """Add candidates.

        Parameters
        ----------
        candidates
            The next part.
        excluded
            Pairs of rows of the queries and of these candidates that do not count.
        """
        if not len(candidates.vectors):
            return
        errors = _gamma(candidates.vectors.shape[1]) * self._norms * _longest(candidates.vectors)
        errors += float(np.finfo(np.float32).tiny)
        by_tile = np.argsort(excluded.query // QUERY_TILE * len(candidates.vectors) + excluded.candidate, kind="stable")
        query, candidate = excluded.query[by_tile], excluded.candidate[by_tile]
        for first in range(0, len(self._queries), QUERY_TILE):
            tile = slice(first, min(first + QUERY_TILE, len(self._queries)))
            low, high = np.searchsorted(query // QUERY_TILE, (first // QUERY_TILE, first // QUERY_TILE + 1))
            in_tile = Excluded(query[low:high] - first, candidate[low:high])
            self._add_to_tile(tile, candidates, in_tile, errors[tile])

    def best(self) -> BestCandidates:
        """Return the best candidates so far, best first."""
        return in_order(self._scores, self._keys, self._positions)

    def _add_to_tile(self, tile: slice, candidates: Candidates, excluded: Excluded, errors: Floats) -> None:
        """Add candidates for a tile of queries (t,), whose float32 scores are within errors (t,) of the exact ones."""
        queries, vectors = self._queries[tile], candidates.vectors
        waiting = _Waiting(len(queries), self.k, errors, self._scores[tile].min(axis=1))
        buffer = np.empty((len(queries), CANDIDATE_TILE), np.float32)
        for begin in range(0, len(vectors), CANDIDATE_TILE):
            part = vectors[begin : begin + CANDIDATE_TILE]
            scores = np.matmul(queries, part.T, out=buffer[:, : len(part)])  # (t, CANDIDATE_TILE)
            low, high = np.searchsorted(excluded.candidate, (begin, begin + len(part)))
            scores[excluded.query[low:high], excluded.candidate[low:high] - begin] = -np.inf
            waiting.add(scores, begin)
            if waiting.is_crowded:
                self._settle(tile, candidates, waiting)
        self._settle(tile, candidates, waiting)

    def _settle(self, tile: slice, candidates: Candidates, waiting: _Waiting) -> None:
        """Score the waiting candidates exactly, and keep the best k of them and of the earlier ones."""
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
        """Keep the best k of w candidates (t, w) and of the earlier ones."""
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
        cells = query, number_within(query)
        for best, values, empty in (
            (self._scores[tile], scores, -np.inf),
            (self._keys[tile], keys, 0),
            (self._positions[tile], positions, NO_POSITION),
        ):
            best[:] = empty
            best[cells] = values[kept]


class _Waiting:
    """Candidates that may be among the best k of the t queries of a tile, by their float32 scores."""

    def __init__(self, queries: int, k: int, errors: Floats, bounds: Floats) -> None:
        self._k = k
        self._errors = errors
        self._count = np.zeros(queries, np.int64)
        width = k + _SLACK + CANDIDATE_TILE
        self._scores = np.full((queries, width), -np.inf, np.float32)
        self.rows = np.zeros((queries, width), np.int32)
        self.clear(bounds)

    def clear(self, bounds: Floats) -> None:
        """Remove all; candidates below the k-th highest exact scores so far, bounds (t,), are not added from now on."""
        self._scores[:, : self._count.max()] = -np.inf
        self._count[:] = 0
        self._below = _below(bounds - self._errors)

    @property
    def filled(self) -> NDArray[np.bool_]:
        """The used slots, (t, w), of the first w, which some query uses."""
        return np.arange(self._count.max()) < self._count[:, None]

    @property
    def is_crowded(self) -> bool:
        """True if the scores of so many candidates are so close that only exact ones can tell the best."""
        return bool(self._count.max() > self._k + _SLACK)

    def add(self, scores: NDArray[np.float32], first: int) -> None:
        """Add those of the candidates first, first + 1, ... that their scores (t, n) do not rule out."""
        cells = np.flatnonzero(scores > self._below[:, None])
        if not len(cells):
            return
        query, column = np.divmod(cells, scores.shape[1])
        slot = self._count[query] + number_within(query)
        self._scores[query, slot] = scores[query, column]
        self.rows[query, slot] = first + column
        self._count += np.bincount(query, minlength=len(self._count))
        if self.is_crowded:
            self._drop()

    def _drop(self) -> None:
        """Remove the candidates that cannot be among the best k."""
        width = int(self._count.max())
        scores, rows = self._scores[:, :width], self.rows[:, :width]
        bound = np.partition(scores, width - self._k, axis=1)[:, width - self._k]
        self._below = np.maximum(self._below, _below(bound - 2 * self._errors))
        kept = scores > self._below[:, None]
        query, _ = np.nonzero(kept)
        cells = query, number_within(query)
        kept_scores, kept_rows = scores[kept], rows[kept]
        scores[:] = -np.inf
        scores[cells], rows[cells] = kept_scores, kept_rows
        self._count = np.bincount(query, minlength=len(kept))


def _below(bounds: Floats) -> NDArray[np.float32]:
    """Return the next float32 numbers below the bounds (t,): any number above them is not below the bounds."""
    rounded = bounds.astype(np.float32)
    return np.nextafter(rounded, np.float32(-np.inf))


def _gamma(dim: int) -> float:
    """Return γ of the module's formula."""
    unit = 2.0**-24
    return dim * unit / (1 - dim * unit)


def _longest(vectors: NDArray[np.float32]) -> float:
    """Return an upper bound of the norms of vectors (n, dim), which is hardly above the greatest."""
    scale = np.abs(vectors).max()
    if scale == 0:
        return 0.0
    scaled = vectors / scale  # so that no square overflows float32
    return float(scale) * float(np.sqrt(np.vecdot(scaled, scaled).max())) * 1.001
