"""Alignment: no score changes, vectors come closer, and a known change of coordinates is found again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twhin_spark.kernels.alignment import Alignment, fit_alignment, fit_linear_map
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.operators import OPERATORS

OPERATOR_SETS = [
    {"identity"},
    {"translation"},
    {"diagonal"},
    {"complex"},
    {"translation", "diagonal"},
    {"identity", "complex"},
    {"diagonal", "complex", "translation"},
]


def _scores(vectors: Floats, operator: str, parameters: Floats) -> Floats:
    """Return the scores of all pairs, in float64."""
    changed = OPERATORS[operator].apply(parameters.astype(np.float64), vectors.astype(np.float64))
    scores: Floats = changed @ vectors.astype(np.float64).T
    return scores


@given(seed=st.integers(0, 2**32), operators=st.sampled_from(OPERATOR_SETS), dim=st.sampled_from([2, 4, 10]))
def test_no_score_changes_and_vectors_come_closer(seed: int, operators: set[str], dim: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 20, dim)).astype(np.float32)
    alignment = fit_alignment(a.T.astype(np.float64) @ b, operators)
    assert np.allclose(alignment.matrix @ alignment.matrix.T, np.eye(dim), atol=1e-12)
    aligned = alignment.vectors(a)
    for operator in operators:
        parameters = rng.normal(size=OPERATORS[operator].parameter_count(dim)).astype(np.float32)
        before = _scores(a, operator, parameters)
        after = _scores(aligned, operator, alignment.parameters(operator, parameters))
        assert np.abs(after - before).max() <= 1e-5 * max(1.0, np.abs(before).max())
    assert np.linalg.norm(aligned - b) <= np.linalg.norm(a - b) + 1e-4


@pytest.mark.parametrize("operators", OPERATOR_SETS, ids=lambda names: "+".join(sorted(names)))
def test_a_hidden_change_of_coordinates_is_found(operators: set[str]) -> None:
    """The former vectors are those of the model in other coordinates, plus noise: the change is undone exactly."""
    rng, dim = np.random.default_rng(0), 8
    hidden = fit_alignment(rng.normal(size=(dim, dim)), operators)
    a = rng.normal(size=(200, dim)).astype(np.float32)
    b = hidden.vectors(a) + 0.01 * rng.normal(size=a.shape)
    found = fit_alignment(a.T.astype(np.float64) @ b, operators)
    assert np.abs(found.matrix - hidden.matrix).max() < 0.01
    if operators & {"diagonal"}:
        assert np.abs(found.matrix - hidden.matrix).max() < 1e-12


def test_several_operators_allow_what_is_common_to_all() -> None:
    cross = np.random.default_rng(1).normal(size=(8, 8))
    free = fit_alignment(cross, {"translation"}).matrix
    signed = fit_alignment(cross, {"diagonal"}).matrix
    phased = fit_alignment(cross, {"complex"}).matrix
    common = fit_alignment(cross, {"diagonal", "complex"}).matrix
    gains = [float(np.sum(matrix * cross)) for matrix in (free, signed, phased, common)]
    assert gains[0] >= max(gains[1], gains[2])
    assert min(gains[1], gains[2]) >= gains[3]
    assert set(np.abs(common).ravel().round(12)) == {0.0, 1.0}


def test_vectors_without_extent_are_left_as_they_are() -> None:
    for operators in OPERATOR_SETS:
        matrix = fit_alignment(np.zeros((4, 4)), operators).matrix
        assert np.allclose(matrix @ matrix.T, np.eye(4))
    assert np.allclose(Alignment(np.eye(4)).parameters("complex", np.arange(4.0)), np.arange(4.0))


def test_a_linear_map_is_found_with_its_error() -> None:
    rng = np.random.default_rng(0)
    a, true = rng.normal(size=(500, 6)), rng.normal(size=(6, 4))
    exact = a @ true
    noise = rng.normal(size=exact.shape)
    fitted = fit_linear_map(a.T @ a, a.T @ exact, float(np.sum(exact**2)))
    assert np.allclose(fitted.matrix, true, atol=1e-4)
    assert fitted.error < 1e-9
    noisy = exact + noise
    fitted = fit_linear_map(a.T @ a, a.T @ noisy, float(np.sum(noisy**2)))
    missed = np.sum((a @ fitted.matrix - noisy) ** 2) / np.sum(noisy**2)
    assert fitted.error == pytest.approx(missed)
    assert 0.05 < fitted.error < 0.5
