"""Exact ranking: how many candidates score above each positive, a tile of scores at a time.

The last bits of a matrix product depend on the shape of the matrices, on the place of a row in them and on the CPU.
Here vectors are first rounded to fixed-point numbers so short that float64 holds every sum of their products exactly.
So a score is the same number wherever it is computed, counts over parts of the candidates add up, and ties are ties.
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
    """p answers that are to be ranked.

    query: (p,), rows of the queries.
    candidate: (p,), rows of the candidates, -1 where the positive is not among these candidates.
    score: float64 (p,), from `positive_scores`.
    """

    query: Integers
    candidate: Integers
    score: NDArray[np.float64]


@dataclass(frozen=True)
class Excluded:
    """Pairs (e,) of query rows and candidate rows that do not count, such as edges known from training."""

    query: Integers
    candidate: Integers


def positive_scores(queries: Floats, positives: Floats, query: Integers) -> NDArray[np.float64]:
    """The score of each positive (p, dim) under its query, row query (p,) of queries (m, dim): float64 (p,)."""
    scores = np.empty(len(positives))
    for begin in range(0, len(positives), CANDIDATE_TILE):
        part = slice(begin, begin + CANDIDATE_TILE)
        scores[part] = np.einsum("pd,pd->p", fixed_point(queries[query[part]]), fixed_point(positives[part]))
    return scores


def count_above(
    queries: Floats, candidates: Floats, positives: Positives, excluded: Excluded
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many candidates score strictly above each positive, and how many others score exactly the same.

    queries: (m, dim), candidates: (n, dim). Excluded pairs and the positive itself do not count.
    Returns greater and equal, int64 (p,). They may be summed over parts of the candidates.
    """
    greater, equal = np.zeros((2, len(positives.query)), np.int64)
    if not len(candidates):
        return greater, equal
    asked = fixed_point(queries)
    positives_by_tile = _by_tile(positives.query, QUERY_TILE, len(queries))
    hidden_by_tile = _by_tile(excluded.candidate, CANDIDATE_TILE, len(candidates))
    for number, hidden in enumerate(hidden_by_tile):
        first_candidate = number * CANDIDATE_TILE
        part = fixed_point(candidates[first_candidate : first_candidate + CANDIDATE_TILE])
        hidden = hidden[np.argsort(excluded.query[hidden], kind="stable")]
        hidden_rows, hidden_columns = excluded.query[hidden], excluded.candidate[hidden] - first_candidate
        for query_tile, mine in enumerate(positives_by_tile):
            if not len(mine):
                continue
            first_query = query_tile * QUERY_TILE
            scores = asked[first_query : first_query + QUERY_TILE] @ part.T  # (QUERY_TILE, CANDIDATE_TILE)
            low, high = np.searchsorted(hidden_rows, (first_query, first_query + QUERY_TILE))
            scores[hidden_rows[low:high] - first_query, hidden_columns[low:high]] = -np.inf
            for few in np.array_split(mine, -(-len(mine) // QUERY_TILE)):  # a query may have many positives
                above, same = _compare(scores, few, positives, first_query, first_candidate)
                greater[few] += above
                equal[few] += same
    return greater, equal


def realistic_rank(greater: Integers, equal: Integers) -> NDArray[np.float64]:
    """The expected rank if ties are broken at random: 1 + greater + equal/2, float64 (p,)."""
    return 1 + greater + equal / 2


def fixed_point(vectors: Floats) -> NDArray[np.float64]:
    """The vectors (n, dim), each rounded to multiples of a power of two of its own: float64 (n, dim).

    A component has at most b bits, where dim · 2^2b <= 2^53, so that a dot product of two such vectors is exact in
    float64 in any order of summation. At dim 128 b is 23, so the error is about that of a dot product in float32.
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
    """The counts (k,), in a tile of scores, for the positives few (k,)."""
    rows = scores[positives.query[few] - first_query]  # (k, CANDIDATE_TILE)
    own = positives.candidate[few] - first_candidate
    inside = np.flatnonzero((own >= 0) & (own < scores.shape[1]) & (positives.candidate[few] >= 0))
    rows[inside, own[inside]] = -np.inf
    score = positives.score[few, None]
    return _true(rows > score), _true(rows == score)


def _true(flags: NDArray[np.bool_]) -> Integers:
    """How many flags of each row (k, n) are true, (k,): several times as fast as `count_nonzero` along an axis."""
    found: Integers = np.bitwise_count(np.packbits(flags, axis=1)).sum(axis=1, dtype=np.int64)
    return found


def _by_tile(numbers: Integers, size: int, total: int) -> list[Integers]:
    """For each tile of so many of the numbers below total, the positions (in numbers) of its members, ascending."""
    order = np.argsort(numbers, kind="stable")
    starts = np.arange(0, total, size)
    return np.split(order, np.searchsorted(numbers[order], starts[1:]))
