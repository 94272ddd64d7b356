"""Means of neighbours, seen through every operator from both ends."""

from __future__ import annotations

import numpy as np
import pytest

from twhin_spark.kernels.neighbour_vectors import SeenThrough, mean_of_neighbours
from twhin_spark.kernels.operators import OPERATORS


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_end_sees_what_its_score_is_linear_in(operator: str) -> None:
    """A score is op(s) · t: as a function of t its factor is op(s), and as one of s it is what s sees of t."""
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=OPERATORS[operator].parameter_count(6))
    s, t = rng.normal(size=(2, 1, 6))
    apply = OPERATORS[operator].apply
    assert np.allclose(SeenThrough(operator, parameters, transposed=False)(s), apply(parameters, s))
    seen = SeenThrough(operator, parameters, transposed=True)(t)
    moved = s + rng.normal(size=s.shape)
    change = (apply(parameters, moved) - apply(parameters, s)) @ t.T
    assert np.allclose((moved - s) @ seen.T, change)


def test_neighbours_count_by_weight_and_in_any_order_of_entities() -> None:
    entity = np.array([4, 1, 4, 1, 9])
    vectors = np.array([[1, 0], [2, 2], [0, 1], [4, 4], [7, 8]], np.float32)
    entities, means = mean_of_neighbours(entity, np.array([1, 1, 3, 1, 5], np.float32), vectors)
    assert entities.tolist() == [1, 4, 9]
    assert means.tolist() == [[3, 3], [0.25, 0.75], [7, 8]]
    assert means.dtype == np.float32
