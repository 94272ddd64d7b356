"""Top k against a sort of all exact scores, in any parts, with ties, excluded pairs and extreme values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twhin_spark.kernels import topk
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.exact_ranks import Excluded
from twhin_spark.kernels.topk import NO_POSITION, BestCandidates, Candidates, TopK, in_fixed_point, unit_vectors


def brute_force(queries: Floats, candidates: Candidates, k: int, excluded: Excluded) -> BestCandidates:
    """Sort the float64 scores of all candidates, query by query."""
    scores = queries.astype(np.float64) @ candidates.vectors.astype(np.float64).T
    allowed = np.ones(scores.shape, bool)
    allowed[excluded.query, excluded.candidate] = False
    best = BestCandidates(np.full((len(queries), k), -np.inf), np.full((len(queries), k), NO_POSITION))
    for row in range(len(queries)):
        order = np.lexsort((candidates.position, candidates.key, -scores[row]))
        order = order[allowed[row, order]][:k]
        best.scores[row, : len(order)] = scores[row, order]
        best.positions[row, : len(order)] = candidates.position[order]
    return best


def in_parts(queries: Floats, candidates: Candidates, k: int, excluded: Excluded, cuts: Integers) -> BestCandidates:
    """Search in the parts of the candidates between the cuts."""
    top = TopK(queries, k)
    for begin, end in zip([0, *cuts], [*cuts, len(candidates.vectors)], strict=True):
        part = Candidates(candidates.vectors[begin:end], candidates.key[begin:end], candidates.position[begin:end])
        inside = (excluded.candidate >= begin) & (excluded.candidate < end)
        top.add(part, Excluded(excluded.query[inside], excluded.candidate[inside] - begin))
    return top.best()


def assert_same(best: BestCandidates, expected: BestCandidates) -> None:
    np.testing.assert_array_equal(best.positions, expected.positions)
    np.testing.assert_array_equal(best.scores, expected.scores)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(0, 3000), st.integers(1, 40), st.sampled_from([0, 1, 6]))
def test_the_best_k_are_those_of_a_full_sort(seed: int, m: int, n: int, k: int, cuts: int) -> None:
    rng = np.random.default_rng(seed)
    dim = int(rng.integers(1, 9))
    values = int(rng.integers(1, 4))  # few values: many scores tie, and many candidates are the same vector
    queries = in_fixed_point(rng.integers(-values, values + 1, (m, dim)).astype(np.float32))
    vectors = rng.integers(-values, values + 1, (n, dim)).astype(np.float32)
    vectors[rng.random(n) < 0.3] += rng.normal(0, 1e-7)  # and many nearly tie
    vectors = in_fixed_point(vectors)
    candidates = Candidates(vectors, rng.integers(0, max(n // 2, 1), n), rng.permutation(n))
    pairs = rng.integers(0, (m, max(n, 1)), (min(n, 1) * 200, 2))
    excluded = Excluded(pairs[:, 0], pairs[:, 1])
    best = in_parts(queries, candidates, k, excluded, np.sort(rng.integers(0, n + 1, cuts)))
    assert_same(best, brute_force(queries, candidates, k, excluded))


@pytest.mark.parametrize("measure", [in_fixed_point, unit_vectors])
def test_any_parts_and_any_order_of_queries_give_the_same_bits(measure: object) -> None:
    assert callable(measure)
    rng = np.random.default_rng(1)
    scale = np.exp(rng.normal(0, 2, (5000, 1)))
    queries = measure(rng.normal(size=(300, 64)).astype(np.float32))
    candidates = Candidates(
        measure((rng.normal(size=(5000, 64)) * scale).astype(np.float32)), rng.permutation(5000), np.arange(5000)
    )
    none = Excluded(np.zeros(0, np.int64), np.zeros(0, np.int64))
    undivided = in_parts(queries, candidates, 50, none, np.zeros(0, np.int64))
    assert_same(undivided, brute_force(queries, candidates, 50, none))
    assert_same(in_parts(queries, candidates, 50, none, np.array([7, 7, 1500, 4990])), undivided)
    order = rng.permutation(300)
    reordered = in_parts(queries[order], candidates, 50, none, np.array([2500]))
    assert_same(reordered, BestCandidates(undivided.scores[order], undivided.positions[order]))


def test_thousands_of_equal_vectors_are_ordered_by_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topk, "_SLACK", 2)
    vectors = np.ones((5000, 3), np.float32)
    keys = np.random.default_rng(2).permutation(5000)
    top = TopK(np.ones((2, 3), np.float32), 4)
    top.add(Candidates(vectors, keys, np.arange(5000)), Excluded(np.array([0]), np.array([np.argmin(keys)])))
    order = np.argsort(keys)
    np.testing.assert_array_equal(top.best().positions, [order[1:5], order[:4]])


def test_unit_vectors_have_norm_1_and_a_zero_vector_0() -> None:
    vectors = np.array([[0, 0], [3e-30, 4e-30], [-3e30, 4e30]], np.float32)
    units = unit_vectors(vectors)
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), [0, 1, 1], atol=1e-6)


def test_fixed_point_is_exact_in_float32() -> None:
    vectors = np.random.default_rng(3).normal(size=(100, 128)).astype(np.float32)
    rounded = in_fixed_point(vectors)
    np.testing.assert_array_equal(in_fixed_point(rounded), rounded)
    np.testing.assert_allclose(rounded, vectors, atol=1e-6)
