"""Similarity measures of training: values, and gradients of very short and long vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twhin_spark.kernels.pair_scores import DENSE_MEASURES
from twhin_spark.kernels.similarity import COMPARATORS, MIN_NORM, Cosine


@pytest.mark.parametrize("name", COMPARATORS)
@pytest.mark.parametrize("length", [1e-10, 1e-3, 1.0, 1e15])
def test_products_are_the_measure_of_that_name(name: str, length: float) -> None:
    rng = np.random.default_rng(0)
    x, y = (length * rng.standard_normal((2, 20, 8))).astype(np.float32)
    left, right = COMPARATORS[name](x), COMPARATORS[name](y)
    products = np.einsum("nd,nd->n", left.vectors, right.vectors)
    assert products.dtype == np.float32
    exact = DENSE_MEASURES[name](x, y)
    np.testing.assert_allclose(products, exact, atol=1e-6 * np.abs(exact).max())
    assert np.linalg.norm(left.vectors, axis=1).max() <= left.greatest_norms() * (1 + 1e-6)


def test_the_cosine_of_the_longest_and_shortest_vectors() -> None:
    x = np.array([[3, 4], [3e37, 4e37], [3e-38, 4e-38], [0, 0]], np.float32)
    np.testing.assert_allclose(Cosine(x).vectors, [[0.6, 0.8]] * 3 + [[0, 0]], rtol=1e-6)


@pytest.mark.parametrize("length", [0, 1e-30, 1e-8, 1, 1e15, 1e37])
def test_a_gradient_and_its_squares_are_finite_whatever_the_length(length: float) -> None:
    x = np.full((1, 4), length / 2, np.float32)
    gradient = Cosine(x).backward(np.array([[1, -1, 2, 0]], np.float32))
    assert gradient.dtype == np.float32
    assert np.isfinite(gradient @ gradient.T).all()
    assert gradient.any()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10_000), length=st.floats(10 * MIN_NORM, 1e6), factor=st.floats(0.1, 10))
def test_the_gradient_of_a_cosine_turns_a_vector_and_does_not_stretch_it(
    seed: int, length: float, factor: float
) -> None:
    rng = np.random.default_rng(seed)
    x, at_unit = rng.standard_normal((2, 3, 5))
    x *= length / np.linalg.norm(x, axis=1, keepdims=True)
    gradient = Cosine(x).backward(at_unit.copy())
    np.testing.assert_allclose(np.einsum("nd,nd->n", gradient, x), 0, atol=1e-9)
    np.testing.assert_allclose(Cosine(factor * x).backward(at_unit.copy()), gradient / factor, rtol=1e-9)
