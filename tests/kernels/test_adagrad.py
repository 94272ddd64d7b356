"""Adagrad against loops, its bound on norms, and gradients that are not finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twhin_spark.kernels.adagrad import EPSILON, RowStep, sum_rows, update_parameters


@given(rows=st.lists(st.integers(0, 9), max_size=40), seed=st.integers(0, 100))
def test_sum_rows_equals_add_at(rows: list[int], seed: int) -> None:
    gradients = np.random.default_rng(seed).standard_normal((len(rows), 3))
    expected = np.zeros((10, 3))
    np.add.at(expected, np.array(rows, int), gradients)
    distinct, sums = sum_rows(np.array(rows, np.int32), gradients)
    assert distinct.tolist() == sorted(set(rows))
    np.testing.assert_allclose(sums, expected[distinct], atol=1e-12)


@given(rows=st.lists(st.integers(0, 9), max_size=40), shares=st.integers(1, 5))
def test_shares_of_rows_sum_to_the_same_bits(rows: list[int], shares: int) -> None:
    gradients = np.random.default_rng(0).standard_normal((len(rows), 3)).astype(np.float32)
    distinct, sums = sum_rows(np.array(rows, np.int32), gradients)
    parts = [sum_rows(np.array(rows, np.int32), gradients, (i, shares)) for i in range(shares)]
    order = np.argsort(np.concatenate([part for part, _ in parts]))
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts])[order], distinct)
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts])[order], sums)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_steps_equal_a_loop(dtype: type) -> None:
    rng = np.random.default_rng(0)
    vectors, accumulators = rng.standard_normal((6, 4)).astype(dtype), rng.random(6).astype(dtype)
    expected, squares = vectors.copy(), accumulators.copy()
    for _ in range(3):
        rows, gradients = rng.integers(5, size=8), rng.standard_normal((8, 4)).astype(dtype)
        for row in set(rows.tolist()):
            g = gradients[rows == row].sum(axis=0)
            squares[row] += (g * g).mean()
            expected[row] -= 0.1 * g / np.sqrt(squares[row] + EPSILON)
        RowStep.from_gradients(accumulators, rows, gradients).apply(vectors, accumulators, 0.1)
    assert vectors.dtype == accumulators.dtype == dtype
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)
    np.testing.assert_allclose(accumulators, squares, rtol=1e-5)


def test_a_step_ends_at_the_nearest_vector_that_is_not_too_long() -> None:
    rng = np.random.default_rng(0)
    free = rng.standard_normal((50, 4)).astype(np.float32)
    free /= np.sqrt(np.vecdot(free, free))[:, None]
    bound, rows, gradients = free.copy(), np.arange(40), rng.standard_normal((40, 4)).astype(np.float32)
    for vectors, max_norm in ((free, None), (bound, 1.0)):
        RowStep.from_gradients(np.ones(50, np.float32), rows, gradients.copy()).apply(
            vectors, np.ones(50, np.float32), 0.3, max_norm
        )
    lengths = np.sqrt(np.vecdot(free, free))
    assert 5 < (lengths > 1).sum() < 35
    np.testing.assert_allclose(bound, free / np.maximum(lengths, 1)[:, None], rtol=1e-6)
    np.testing.assert_array_equal(bound[lengths <= 1], free[lengths <= 1])


def test_a_row_without_gradient_stays() -> None:
    vectors, accumulators = np.ones((2, 3), np.float32), np.zeros(2, np.float32)
    RowStep.from_gradients(accumulators, np.array([1]), np.zeros((1, 3), np.float32)).apply(vectors, accumulators, 0.1)
    np.testing.assert_array_equal(vectors, np.ones((2, 3)))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_step_knows_whether_it_is_finite_before_it_is_applied(poison: float) -> None:
    accumulators, gradients = np.zeros(3, np.float32), np.ones((2, 3), np.float32)
    assert RowStep.from_gradients(accumulators, np.array([0, 2]), gradients).is_finite
    gradients[1, 1] = poison
    assert not RowStep.from_gradients(accumulators, np.array([0, 2]), gradients).is_finite
    assert not accumulators.any()


def test_update_parameters_equals_a_loop() -> None:
    parameters, accumulators = np.array([[5.0, 5.0], [1.0, 2.0]]), np.array([[1.0, 1.0], [0.0, 4.0]])
    update_parameters(parameters, accumulators, np.array([1, 1]), np.array([[-2.0, 1.0], [-1.0, 1.0]]), 0.5)
    np.testing.assert_allclose(accumulators, [[1, 1], [9, 8]])
    np.testing.assert_allclose(parameters, [[5, 5], [1 + 0.5 * 3 / 3, 2 - 0.5 * 2 / np.sqrt(8)]])
