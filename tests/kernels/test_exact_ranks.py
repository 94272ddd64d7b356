"""Exact ranks against loops, in parts of the candidates, and the exactness of fixed point."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twhin_spark.kernels.exact_ranks import (
    CANDIDATE_TILE,
    Excluded,
    Positives,
    count_above,
    fixed_point,
    positive_scores,
    realistic_rank,
)


@settings(max_examples=60, deadline=None)
@given(
    queries=st.integers(1, 8),
    candidates=st.integers(1, 30),
    positives=st.integers(0, 20),
    excluded=st.integers(0, 40),
    seed=st.integers(0, 10_000),
)
def test_counts_equal_a_loop_with_ties(queries: int, candidates: int, positives: int, excluded: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.integers(-1, 2, (queries, 2)).astype(np.float32)  # so small that most scores tie
    c = rng.integers(-1, 2, (candidates, 2)).astype(np.float32)
    query, candidate = rng.integers(queries, size=positives), rng.integers(candidates, size=positives)
    excluded_pairs = Excluded(rng.integers(queries, size=excluded), rng.integers(candidates, size=excluded))
    answers = Positives(query, candidate, positive_scores(q, c[candidate], query))
    greater, equal = count_above(q, c, answers, excluded_pairs)

    pairs = set(zip(excluded_pairs.query.tolist(), excluded_pairs.candidate.tolist(), strict=True))
    for k in range(positives):
        others = [q[query[k]] @ c[j] for j in range(candidates) if j != candidate[k] and (query[k], j) not in pairs]
        score_of_positive = q[query[k]] @ c[candidate[k]]
        assert greater[k] == sum(score > score_of_positive for score in others)
        assert equal[k] == sum(score == score_of_positive for score in others)


def ranked(parts: list[np.ndarray], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Count for 900 positives of 300 queries among candidates in parts, which are arrays of candidate numbers."""
    rng = np.random.default_rng(seed)
    total = sum(len(part) for part in parts)
    queries, candidates = rng.standard_normal((2, total, 24)).astype(np.float32)
    queries = queries[:300]
    candidates[total // 2 :] = candidates[: total - total // 2]  # every candidate ties with its double
    query, candidate = rng.integers(300, size=900), rng.integers(total, size=900)
    hidden_query, hidden_candidate = rng.integers(300, size=5000), rng.integers(total, size=5000)
    scores = positive_scores(queries, candidates[candidate], query)
    greater, equal = np.zeros((2, 900), np.int64)
    for part in parts:
        row_in_part = np.full(total, -1)
        row_in_part[part] = np.arange(len(part))
        inside = row_in_part[hidden_candidate] >= 0
        excluded = Excluded(hidden_query[inside], row_in_part[hidden_candidate][inside])
        more = count_above(queries, candidates[part], Positives(query, row_in_part[candidate], scores), excluded)
        greater += more[0]
        equal += more[1]
    return greater, equal


@pytest.mark.parametrize("parts", [3, 7])
@pytest.mark.parametrize("shuffled", [False, True])
def test_partitions_and_order_of_candidates_do_not_matter(parts: int, shuffled: bool) -> None:
    total = 3 * CANDIDATE_TILE + 100
    undivided = ranked([np.arange(total)])
    order = np.random.default_rng(1).permutation(total) if shuffled else np.arange(total)
    divided = ranked(np.array_split(order, parts))
    np.testing.assert_array_equal(undivided, divided)
    assert (undivided[1] >= 1).mean() > 0.9  # the doubles tie to the last bit


@pytest.mark.parametrize("dim", [1, 7, 64, 128, 300])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e15])
def test_scores_do_not_depend_on_the_order_of_summation(dim: int, scale: float) -> None:
    rng = np.random.default_rng(0)
    queries, candidates = fixed_point((scale * rng.standard_normal((2, 200, dim))).astype(np.float32))
    scores = queries @ candidates.T
    order = rng.permutation(dim)
    np.testing.assert_array_equal(scores, queries[:, order] @ candidates[:, order].T)
    np.testing.assert_array_equal(scores[::-1, ::-1], queries[::-1] @ candidates[::-1].T)
    for i, j in rng.integers(200, size=(50, 2)):
        assert scores[i, j] == math.fsum(queries[i] * candidates[j])


def test_fixed_point_is_as_close_as_float32() -> None:
    vectors = np.random.default_rng(0).standard_normal((500, 128)).astype(np.float32)
    vectors[:100] *= np.logspace(-20, 20, 100, dtype=np.float32)[:, None]
    error = np.abs(fixed_point(vectors) - vectors).max(axis=1)
    assert (error <= np.abs(vectors).max(axis=1) * 2.0**-23).all()
    np.testing.assert_array_equal(fixed_point(np.zeros((2, 3), np.float32)), np.zeros((2, 3)))


def test_many_positives_of_one_query_and_no_candidates() -> None:
    queries = np.ones((1, 2), np.float32)
    candidates = np.arange(1000, dtype=np.float32)[:, None] * np.ones(2, np.float32)
    query, candidate = np.zeros(1000, np.int64), np.arange(1000)
    positives = Positives(query, candidate, positive_scores(queries, candidates, query))
    no_pairs = Excluded(np.array([], int), np.array([], int))
    greater, equal = count_above(queries, candidates, positives, no_pairs)
    np.testing.assert_array_equal(greater, 999 - np.arange(1000))
    assert not equal.any()
    greater, equal = count_above(queries, candidates[:0], positives, no_pairs)
    assert not greater.any()
    assert not equal.any()


def test_realistic_rank() -> None:
    np.testing.assert_array_equal(realistic_rank(np.array([0, 3, 0]), np.array([0, 0, 5])), [1, 4, 3.5])
