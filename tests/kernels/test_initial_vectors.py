"""Initial vectors: a function of key and seed alone, uniform and uncorrelated."""

import numpy as np

from twhin_spark.kernels.initial_vectors import ROWS_AT_ONCE, initial_vectors

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63, ROWS_AT_ONCE + 1000)


def test_a_vector_depends_on_its_key_and_the_seed_alone() -> None:
    vectors = initial_vectors(KEYS, 16, 0.1, seed=1)
    assert vectors.dtype == np.float32
    order = np.random.default_rng(1).permutation(len(KEYS))
    np.testing.assert_array_equal(initial_vectors(KEYS[order], 16, 0.1, seed=1), vectors[order])
    np.testing.assert_array_equal(initial_vectors(KEYS[7:9], 16, 0.1, seed=1), vectors[7:9])
    np.testing.assert_array_equal(initial_vectors(KEYS[:9], 4, 0.1, seed=1), vectors[:9, :4])
    assert (initial_vectors(KEYS, 16, 0.1, seed=2) != vectors).mean() > 0.999


def test_components_are_uniform_and_uncorrelated() -> None:
    vectors = initial_vectors(KEYS, 16, 0.1, seed=0)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=0.005)
    np.testing.assert_allclose(vectors.std(axis=0), 0.1, rtol=0.03)
    assert np.abs(vectors).max() <= 0.1 * np.sqrt(3) * 1.0001
    correlation = np.corrcoef(np.hstack([vectors[:-1], vectors[1:]]).T)  # of components, and with the next entity's
    assert np.abs(correlation - np.eye(32)).max() < 0.06


def test_keys_in_a_row_are_as_good_as_random_ones() -> None:
    vectors = initial_vectors(np.arange(2000), 64, 1.0, seed=0)
    similarity = (vectors @ vectors.T) / 64
    np.fill_diagonal(similarity, 0)
    assert np.abs(similarity).max() < 6 / np.sqrt(64)
    assert len(np.unique(vectors, axis=0)) == 2000


def test_no_keys() -> None:
    assert initial_vectors(np.array([], np.int64), 4, 1.0, seed=0).shape == (0, 4)
