"""Spherical k-means on planted clusters, duplicates and zero vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twhin_spark.kernels.clusters import nearest_centroids, spherical_kmeans


def planted(seed: int, clusters: int, each: int, dim: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of any length around orthogonal directions, and their clusters."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(clusters), each))
    vectors = np.eye(dim)[labels] + 0.05 * rng.standard_normal((len(labels), dim))
    return (vectors * rng.uniform(0.1, 50, (len(labels), 1))).astype(np.float32), labels


@pytest.mark.parametrize("seed", range(5))
def test_planted_directions_are_found_whatever_the_lengths(seed: int) -> None:
    vectors, labels = planted(seed, clusters=8, each=40)
    clustering = spherical_kmeans(vectors, 8, np.random.default_rng(seed))
    numbers, cosines = nearest_centroids(vectors, clustering.centroids)
    assert len({*zip(labels.tolist(), numbers.tolist(), strict=True)}) == 8  # a one-to-one map
    np.testing.assert_allclose(np.linalg.norm(clustering.centroids, axis=1), 1, rtol=1e-5)
    assert clustering.closeness[-1] == pytest.approx(cosines.mean(), abs=1e-5)
    assert cosines.min() > 0.7


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), clusters=st.integers(1, 60), distinct=st.integers(1, 60))
def test_closeness_never_falls_and_the_same_seed_gives_the_same_bits(
    seed: int, n: int, clusters: int, distinct: int
) -> None:
    clusters = min(clusters, n)
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((distinct, 3)).astype(np.float32)[rng.integers(0, distinct, n)]  # with duplicates
    first, second = (spherical_kmeans(vectors, clusters, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first.centroids, second.centroids)
    assert np.isfinite(first.centroids).all()
    assert np.all(np.diff(first.closeness) > -1e-5)


def test_zero_vectors_are_left_out() -> None:
    vectors = np.array([[0, 0], [3, 0], [0, 0], [0, 2]], np.float32)
    clustering = spherical_kmeans(vectors, 2, np.random.default_rng(0))
    assert sorted(clustering.centroids.tolist()) == [[0, 1], [1, 0]]
    assert nearest_centroids(vectors, clustering.centroids)[1].tolist() == [0, 1, 0, 1]
    with pytest.raises(ValueError, match="must be from 1 to 2, the number of vectors that are not zero, but is 3"):
        spherical_kmeans(vectors, 3, np.random.default_rng(0))
