"""Operators: their identity, their values, and the complex product."""

import numpy as np
import pytest

from twhin_spark.kernels.operators import OPERATORS


@pytest.mark.parametrize("name", OPERATORS)
def test_initial_parameters_change_nothing(name: str) -> None:
    operator = OPERATORS[name]
    x = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    params = operator.initial_parameters(6)
    assert params.shape == (operator.parameter_count(6),)
    assert params.dtype == np.float32
    np.testing.assert_array_equal(operator.apply(params, x), x)


def test_translation_and_diagonal_by_hand() -> None:
    x, params = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([5.0, 6.0, 7.0, 8.0])
    np.testing.assert_array_equal(OPERATORS["translation"].apply(params, x), [[6, 8, 10, 12]])
    np.testing.assert_array_equal(OPERATORS["diagonal"].apply(params, x), [[5, 12, 21, 32]])


def test_complex_equals_the_product_of_complex_numbers() -> None:
    rng = np.random.default_rng(1)
    x, params = rng.standard_normal((5, 6)), rng.standard_normal(6)
    product = OPERATORS["complex"].apply(params, x)
    expected = (x[:, :3] + 1j * x[:, 3:]) * (params[:3] + 1j * params[3:])
    np.testing.assert_allclose(product[:, :3] + 1j * product[:, 3:], expected)


def test_complex_refuses_an_odd_dimension() -> None:
    with pytest.raises(ValueError, match="even dimension, not 7"):
        OPERATORS["complex"].parameter_count(7)
