"""Sampling of edges by relation: counts, order, and use of the generator."""

import numpy as np
import pytest

from twhin_spark.kernels.model import Edges
from twhin_spark.kernels.relation_sampling import sample_edges

EACH = 4000


def some_edges(relations: int) -> Edges:
    """Return EACH edges of every relation, whose sources are the numbers of the edges."""
    count = EACH * relations
    relation = np.repeat(np.arange(relations), EACH).astype(np.int16)
    numbers = np.arange(count, dtype=np.int32)
    return Edges(numbers, numbers[::-1].copy(), relation, np.linspace(1, 2, count, dtype=np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_edges_come_as_often_as_their_relation_says(seed: int) -> None:
    edges, times = some_edges(5), np.array([1, 0.5, 2, 2.5, 0.01])
    sampled = sample_edges(edges, times, np.random.default_rng(seed))
    copies = np.bincount(sampled.source, minlength=len(edges.source)).reshape(5, EACH)
    np.testing.assert_array_equal(copies[0], 1)
    np.testing.assert_array_equal(copies[2], 2)
    assert [np.unique(row).tolist() for row in copies[[1, 3, 4]]] == [[0, 1], [2, 3], [0, 1]]
    spread = np.sqrt(EACH * (times % 1) * (1 - times % 1))
    assert (np.abs(copies.sum(axis=1) - EACH * times) <= 5 * spread).all()
    for name in ("target", "relation", "weight"):
        np.testing.assert_array_equal(getattr(sampled, name), getattr(edges, name)[sampled.source])


def test_once_for_all_draws_no_random_number() -> None:
    edges, rng = some_edges(2), np.random.default_rng(0)
    assert sample_edges(edges, np.ones(2), rng) is edges
    assert rng.random() == np.random.default_rng(0).random()


def test_halves_differ_each_time_and_are_reproducible() -> None:
    edges, rng = some_edges(1), np.random.default_rng(0)
    first, second = (sample_edges(edges, np.array([0.5]), rng).source for _ in range(2))
    assert 0.4 * EACH < len(np.setdiff1d(first, second)) + len(np.setdiff1d(second, first)) < 0.6 * EACH
    np.testing.assert_array_equal(first, sample_edges(edges, np.array([0.5]), np.random.default_rng(0)).source)


def test_no_edges() -> None:
    none = Edges(*(np.empty(0, dtype) for dtype in (np.int32, np.int32, np.int16, np.float32)))
    assert len(sample_edges(none, np.array([2.5]), np.random.default_rng(0)).weight) == 0
