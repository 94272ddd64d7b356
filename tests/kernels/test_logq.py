"""LogQ correction: shares, expected negatives, and the unbiased estimate that they give."""

import numpy as np
import pytest

from twhin_spark.kernels.logq import EndpointShares, expected_negatives


def test_shares_are_the_parts_of_the_weight_of_a_relation() -> None:
    relation = np.array([3, 3, 3, 3, 3, 5, 5], np.int16)
    rows = np.array([7, 2, 7, 2, 9, 2, 9], np.int32)
    weights = np.array([1.0, 0.5, 2.0, 0.5, 4.0, 1.0, 3.0], np.float32)
    shares = EndpointShares.from_edges(relation, rows, weights, entities=10)
    looked_up = shares.lookup(np.array([3, 5, 4]), np.array([[9, 0, 2, 7], [9, 0, 2, 7], [9, 0, 2, 7]]))
    np.testing.assert_allclose(looked_up, [[4 / 8, 0, 1 / 8, 3 / 8], [3 / 4, 0, 1 / 4, 0], [0, 0, 0, 0]])


def test_negatives_are_expected_by_popularity_and_by_chance() -> None:
    shares = np.array([[0.5, 0.0], [0.1, 0.0]])
    edges = np.array([20, 10])
    expected = expected_negatives(shares, edges=edges, in_batch_weight=0.5, uniform=30, uniform_weight=2, entities=600)
    by_chance = 2 * 30 / 600
    np.testing.assert_allclose(
        expected, [[0.5 * 20 * 0.5 + by_chance, by_chance], [0.5 * 10 * 0.1 + by_chance, by_chance]]
    )


def test_entities_at_the_other_end_are_expected_with_the_weight_of_a_uniform_negative() -> None:
    expected = expected_negatives(
        np.array([[0.5], [0.1]]),
        np.array([[0.0], [0.2]]),
        edges=np.array([20, 10]),
        in_batch_weight=0.5,
        uniform=np.array([30, 40]),
        uniform_weight=2,
        entities=600,
    )
    np.testing.assert_allclose(expected, [[0.5 * 20 * 0.5 + 0.1], [0.5 * 10 * 0.1 + 2 * 10 * 0.2 + 2 * 40 / 600]])


def test_an_entity_that_is_never_sampled_gives_no_division_by_zero() -> None:
    expected = expected_negatives(
        np.zeros((1, 1)), edges=np.array([20]), in_batch_weight=1, uniform=3, uniform_weight=0, entities=600
    )
    assert expected[0, 0] > 0


@pytest.mark.parametrize(("in_batch_weight", "uniform_weight"), [(1, 1), (0, 1), (0.3, 2)])
def test_divided_negatives_estimate_the_sum_over_all_entities(in_batch_weight: float, uniform_weight: float) -> None:
    entities, edges, uniform = 40, 16, 12
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(entities)
    popularity = rng.pareto(1.0, entities) + 0.01
    popularity /= popularity.sum()
    weights = np.repeat([in_batch_weight, uniform_weight], [edges, uniform])
    sums = []
    for _ in range(4000):
        drawn = np.concatenate([rng.choice(entities, edges, p=popularity), rng.integers(entities, size=uniform)])
        expected = expected_negatives(
            popularity[drawn][None],
            edges=np.array([edges]),
            in_batch_weight=in_batch_weight,
            uniform=uniform,
            uniform_weight=uniform_weight,
            entities=entities,
        )[0]
        sums.append(np.sum(weights / expected * np.exp(scores[drawn])))
    error = np.std(sums) / np.sqrt(len(sums))
    exact = np.exp(scores).sum()
    assert np.mean(sums) == pytest.approx(exact, abs=4 * error)
    assert error < 0.02 * exact


def test_the_negatives_of_loaded_parts_estimate_the_sum_over_all_entities_too() -> None:
    """Random halves of the entities are loaded, as groups are in training."""
    rng, entities, edges, uniform = np.random.default_rng(0), 60, 8, 20
    values, popularity = rng.random(entities), rng.dirichlet(np.ones(entities))
    estimates = []
    for _ in range(4000):
        loaded = rng.permutation(entities)[: entities // 2]
        shares = popularity[loaded] / popularity[loaded].sum()
        sample = np.concatenate([rng.choice(30, edges, p=shares), rng.integers(30, size=uniform)])
        expected = expected_negatives(
            shares[None, sample].astype(np.float32),
            edges=np.array([edges]),
            in_batch_weight=1,
            uniform=uniform,
            uniform_weight=1,
            entities=30,
            loaded=0.5,
        )
        estimates.append((values[loaded[sample]] / expected[0]).sum())
    assert np.mean(estimates) == pytest.approx(values.sum(), rel=0.02)


def test_the_example_of_the_docstring() -> None:
    expected = expected_negatives(
        np.array([[0.05, 0.0]]),
        edges=np.array([100]),
        in_batch_weight=1,
        uniform=50,
        uniform_weight=1,
        entities=1000,
    )
    np.testing.assert_allclose(expected, [[5.05, 0.05]], rtol=1e-6)
