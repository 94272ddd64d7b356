"""Scores of pairs against plain Python."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_array

from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES, apply_relation, weighted_sum

Row = list[float]


def _dot(x: Row, y: Row) -> float:
    return math.fsum(a * b for a, b in zip(x, y, strict=True))


def _members(x: Row) -> set[int]:
    return {i for i, value in enumerate(x) if value}


PLAIN: dict[str, Callable[[Row, Row], float]] = {
    "dot": _dot,
    "cosine": lambda x, y: _dot(x, y) / (math.hypot(*x) * math.hypot(*y)),
    "euclidean": math.dist,
    "manhattan": lambda x, y: math.fsum(abs(a - b) for a, b in zip(x, y, strict=True)),
    "jaccard": lambda x, y: len(_members(x) & _members(y)) / len(_members(x) | _members(y)),
    "fuzzy_jaccard": lambda x, y: math.fsum(map(min, x, y)) / math.fsum(map(max, x, y)),
    "log_cosine": lambda x, y: _dot(x, y) / (math.log(1 + _dot(x, x)) * math.log(1 + _dot(y, y))),
    "exp_scaled_cosine": lambda x, y: _dot(x, y) / (_dot(x, x) ** 0.3 * _dot(y, y) ** 0.3),
}


def rows(seed: int, n: int = 20, dim: int = 12) -> np.ndarray:
    """Return float32 (n, dim), about half of it zero."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, dim)) * rng.integers(0, 2, (n, dim))
    values[:, 0] += 2
    return values.astype(np.float32)


@pytest.mark.parametrize("measure", DENSE_MEASURES)
def test_dense_scores_are_the_formula(measure: str) -> None:
    x, y = rows(0), rows(1)
    expected = [PLAIN[measure](a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    scores = DENSE_MEASURES[measure](x, y)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


@pytest.mark.parametrize("measure", SPARSE_MEASURES)
def test_sparse_scores_are_the_formula(measure: str) -> None:
    x, y = rows(2), rows(3)
    if measure == "fuzzy_jaccard":  # of weights that are not negative
        x, y = np.abs(x), np.abs(y)
    expected = [PLAIN[measure](a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    scores = SPARSE_MEASURES[measure](csr_array(x), csr_array(y))
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=1e-12)


@pytest.mark.parametrize("measure", DENSE_MEASURES)
def test_one_dense_row_is_paired_with_all(measure: str) -> None:
    x, y = rows(0, n=1), rows(1)
    score = DENSE_MEASURES[measure]
    np.testing.assert_array_equal(score(x, y), score(np.repeat(x, len(y), axis=0), y))
    np.testing.assert_array_equal(score(y, x), score(y, np.repeat(x, len(y), axis=0)))
    assert score(x, y[:0]).shape == (0,)


@pytest.mark.parametrize("measure", SPARSE_MEASURES)
def test_one_sparse_row_is_paired_with_all(measure: str) -> None:
    x, y = rows(0, n=1), rows(1)
    score = SPARSE_MEASURES[measure]
    repeated = csr_array(np.repeat(x, len(y), axis=0))
    np.testing.assert_array_equal(score(csr_array(x), csr_array(y)), score(repeated, csr_array(y)))
    np.testing.assert_array_equal(score(csr_array(y), csr_array(x)), score(csr_array(y), repeated))
    assert score(csr_array(x), csr_array(y[:0])).shape == (0,)


def test_a_zero_vector_has_a_score_and_no_warning() -> None:
    zeros, ones = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
    with np.errstate(all="raise"):
        assert DENSE_MEASURES["cosine"](zeros, ones) == 0
        for name, measure in SPARSE_MEASURES.items():
            distance = {"euclidean": 2, "manhattan": 4}.get(name, 0)
            assert measure(csr_array(zeros), csr_array(ones)) == distance
            assert measure(csr_array(zeros), csr_array(zeros)) == 0


def test_a_weight_of_zero_is_no_member() -> None:
    stored_zero = csr_array((np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 3))
    assert SPARSE_MEASURES["jaccard"](stored_zero, csr_array(np.array([[5.0, 1.0, 0.0]]))) == 0.5


def test_float32_is_summed_in_float64() -> None:
    x = np.array([[1e8, 1, -1e8]], np.float32)
    assert DENSE_MEASURES["dot"](x, np.ones((1, 3), np.float32)) == 1


def test_a_relation_changes_the_source() -> None:
    source, target = np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32)
    parameters = np.array([10, 20], np.float32)
    score = DENSE_MEASURES["dot"]
    assert score(apply_relation("translation", parameters, source), target) == 11 * 3 + 22 * 4
    assert score(apply_relation("diagonal", parameters, source), target) == 10 * 3 + 40 * 4
    assert score(apply_relation("complex", parameters, source), target) == (10 - 40) * 3 + (20 + 20) * 4
    assert score(apply_relation("identity", parameters[:0], source), target) == 3 + 8


def test_the_sum_with_a_missing_score_is_missing() -> None:
    total = weighted_sum([np.array([1.0, np.nan]), np.array([2.0, 2.0])], [0.5, -1])
    np.testing.assert_array_equal(total, [-1.5, np.nan])
