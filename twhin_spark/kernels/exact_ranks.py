"""Exact ranking: counts of the candidates that score above each positive, computed tile by tile.

The last bits of a matrix product depend on the shapes of the matrices, on the position of a row and on the CPU. Here
vectors are first rounded to fixed-point numbers so short that float64 holds every sum of their products exactly. So a
score is the same number wherever it is computed, counts over parts of the candidates add up, and ties are ties.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Floats, Integers

QUERY_TILE = 256
CANDIDATE_TILE = 1024
FLOAT64_BITS = 53  # whole numbers up to 2^53 are exact in float64


@dataclass(frozen=True)
class Positives:
    """The p answers that are ranked.

    Attributes
    ----------
    query
        Row of each answer's query, (p,).
    candidate
        Row of each answer among the candidates, (p,), or -1 if it is not among these candidates.
    score
        Scores from `positive_scores`, float64 (p,).
    """

    query: Integers
    candidate: Integers
    score: NDArray[np.float64]


@dataclass(frozen=True)
class Excluded:
    """Pairs of query rows (e,) and candidate rows (e,) that do not count, such as training edges."""

    query: Integers
    candidate: Integers


def positive_scores(queries: Floats, positives: Floats, query: Integers) -> NDArray[np.float64]:
    """Score each positive under its query.

    Parameters
    ----------
    queries
        Vectors (m, dim).
    positives
        Vectors (p, dim).
    query
        Row of each positive's query, (p,).

    Returns
    -------
    float64 (p,)
        Dot products in fixed point, see `fixed_point`.
    """
    scores = np.empty(len(positives))
    for begin in range(0, len(positives), CANDIDATE_TILE):
        part = slice(begin, begin + CANDIDATE_TILE)
        scores[part] = np.einsum("pd,pd->p", fixed_point(queries[query[part]]), fixed_point(positives[part]))
    return scores


def count_above(
    queries: Floats, candidates: Floats, positives: Positives, excluded: Excluded
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the candidates that score above each positive, and those that score the same.

    Excluded pairs and the positive itself do not count.

    Parameters
    ----------
    queries, candidates
        Vectors (m, dim) and (n, dim).
    positives
        The answers that are ranked.
    excluded
        Pairs that do not count.

    Returns
    -------
    greater, equal
        Counts of candidates with a strictly greater and an equal score, int64 (p,). Counts over parts of the candidates
        may be added.
    """
    greater, equal = np.zeros((2, len(positives.query)), np.int64)
    if not len(candidates):
        return greater, equal
    exact_queries = fixed_point(queries)
    positives_by_tile = _by_tile(positives.query, QUERY_TILE, len(queries))
    excluded_by_tile = _by_tile(excluded.candidate, CANDIDATE_TILE, len(candidates))
    for candidate_tile, pairs in enumerate(excluded_by_tile):
        first_candidate = candidate_tile * CANDIDATE_TILE
        part = fixed_point(candidates[first_candidate : first_candidate + CANDIDATE_TILE])
        pairs = pairs[np.argsort(excluded.query[pairs], kind="stable")]
        rows, columns = excluded.query[pairs], excluded.candidate[pairs] - first_candidate
        for query_tile, members in enumerate(positives_by_tile):
            if not len(members):
                continue
            first_query = query_tile * QUERY_TILE
            scores = exact_queries[first_query : first_query + QUERY_TILE] @ part.T  # (QUERY_TILE, CANDIDATE_TILE)
            low, high = np.searchsorted(rows, (first_query, first_query + QUERY_TILE))
            scores[rows[low:high] - first_query, columns[low:high]] = -np.inf
            for few in np.array_split(members, -(-len(members) // QUERY_TILE)):  # a query may have many positives
                above, same = _compare(scores, few, positives, first_query, first_candidate)
                greater[few] += above
                equal[few] += same
    return greater, equal


def realistic_rank(greater: Integers, equal: Integers) -> NDArray[np.float64]:
    """Return the expected rank if ties are broken at random, 1 + greater + equal/2, float64 (p,).

    M. Berrendorf et al.: On the Ambiguity of Rank-Based Evaluation of Entity Alignment or Link Prediction Methods, 2020
    (arXiv 2002.06914).

    Parameters
    ----------
    greater, equal
        Counts from `count_above`, (p,).
    """
    return 1 + greater + equal / 2


def fixed_point(vectors: Floats) -> NDArray[np.float64]:
    """Round vectors (n, dim) so that all dot products of them are exact in float64, in any order of summation.

    Each vector is rounded to whole multiples of a power of two of its own, its unit. A component is at most 2^b units,
    where dim · 2^2b <= 2^53. At dim 128 b is 23, so the error is about that of a dot product in float32.

    Returns
    -------
    float64 (n, dim)
        The rounded vectors.

    Examples
    --------
    With b = 3, the vector (0.9, -0.2) has the unit 2^-3 = 0.125, as its greatest component is below 2^0. It is rounded
    to (7, -2) units, (0.875, -0.25). The vector (5, 3.2), below 2^3, has the unit 1 and becomes (5, 3). Their dot
    product is (7 · 5 - 2 · 3) · 0.125 · 1: whole numbers below 2^53 are multiplied and added, and nothing is rounded.
    """
    dim = vectors.shape[1]
    bits = (FLOAT64_BITS - (dim - 1).bit_length()) // 2
    _, exponents = np.frexp(np.abs(vectors).max(axis=1, keepdims=True))  # |vector| < 2^exponent
    unit = np.ldexp(1.0, exponents - bits)  # (n, 1)
    rounded: NDArray[np.float64] = np.rint(vectors / unit) * unit
    return rounded


def _compare(
    scores: Floats, few: Integers, positives: Positives, first_query: int, first_candidate: int
) -> tuple[Integers, Integers]:
    """Count the scores of a tile above and equal to those of the positives with the numbers `few` (k,), (k,) each."""
    rows = scores[positives.query[few] - first_query]  # (k, CANDIDATE_TILE)
    column = positives.candidate[few] - first_candidate
    inside = np.flatnonzero((column >= 0) & (column < scores.shape[1]) & (positives.candidate[few] >= 0))
    rows[inside, column[inside]] = -np.inf
    score = positives.score[few, None]
    return _count_true(rows > score), _count_true(rows == score)


def _count_true(flags: NDArray[np.bool_]) -> Integers:
    """Count the true flags of each row of (k, n), (k,): several times as fast as `count_nonzero` along an axis."""
    counts: Integers = np.bitwise_count(np.packbits(flags, axis=1)).sum(axis=1, dtype=np.int64)
    return counts


def _by_tile(numbers: Integers, size: int, total: int) -> list[Integers]:
    """Group numbers below `total` by tiles of `size`; return the positions of each tile's members, ascending."""
    order = np.argsort(numbers, kind="stable")
    starts = np.arange(0, total, size)
    return np.split(order, np.searchsorted(numbers[order], starts[1:]))
