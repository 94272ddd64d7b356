"""Spherical k-means: clusters of vectors by direction, each with a unit centroid.

I. Dhillon, D. Modha: Concept Decompositions for Large Sparse Text Data using Clustering, Machine Learning 2001. The
closeness of a vector to a centroid is their cosine. A zero vector has no direction and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from twhin_spark.kernels.arrays import Floats, Integers

_BLOCK_ROWS = 16_384  # vectors that are compared with all centroids at a time


@dataclass(frozen=True)
class Clustering:
    """A result of `spherical_kmeans`.

    Attributes
    ----------
    centroids
        Unit vectors, float32 (clusters, dim).
    closeness
        The mean cosine of the vectors to their nearest centroids in each iteration.
    """

    centroids: Floats
    closeness: list[float]


def spherical_kmeans(
    vectors: Floats, clusters: int, rng: np.random.Generator, *, iterations: int = 30, tolerance: float = 1e-4
) -> Clustering:
    """Cluster vectors by direction.

    The first centroids are drawn as in k-means++ (D. Arthur and S. Vassilvitskii, SODA 2007). A cluster that loses its
    last vector takes the one that is farthest from its centroid.

    Parameters
    ----------
    vectors
        (n, dim).
    clusters
        Number of clusters, from 1.
    rng
        Generator of the first centroids.
    iterations
        The most iterations.
    tolerance
        The search ends when an iteration raises the mean cosine by less.

    Raises
    ------
    ValueError
        If fewer vectors than clusters have a direction.
    """
    unit = unit_rows(vectors)
    unit = unit[np.any(unit != 0, axis=1)]
    if not 1 <= clusters <= len(unit):
        raise ValueError(
            f"the number of clusters must be from 1 to {len(unit):,}, the number of vectors that are not zero, "
            f"but is {clusters:,}"
        )
    centroids = _first_centroids(unit, clusters, rng)
    closeness: list[float] = []
    for _ in range(iterations):
        labels, cosines = nearest_centroids(unit, centroids)
        closeness.append(float(cosines.mean()))
        if len(closeness) > 1 and closeness[-1] - closeness[-2] < tolerance:
            break
        centroids = _mean_directions(unit, labels, cosines, clusters)
    return Clustering(centroids, closeness)


def nearest_centroids(vectors: Floats, centroids: Floats) -> tuple[Integers, Floats]:
    """Assign each vector to its nearest centroid.

    Parameters
    ----------
    vectors
        (n, dim), of any length.
    centroids
        Unit vectors (clusters, dim).

    Returns
    -------
    labels, cosines
        The number of the nearest centroid, int64 (n,), and the cosine to it, float32 (n,).
    """
    labels = np.zeros(len(vectors), np.int64)
    cosines = np.zeros(len(vectors), np.float32)
    for first in range(0, len(vectors), _BLOCK_ROWS):
        rows = slice(first, first + _BLOCK_ROWS)
        scores = unit_rows(vectors[rows]) @ centroids.T  # (block, clusters)
        labels[rows] = scores.argmax(axis=1)
        cosines[rows] = scores.max(axis=1)
    return labels, cosines


def unit_rows(vectors: Floats) -> Floats:
    """Return vectors (n, dim) over their norms, float32; a zero vector stays zero."""
    vectors = vectors.astype(np.float32, copy=False)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return unit


def _first_centroids(unit: Floats, clusters: int, rng: np.random.Generator) -> Floats:
    """Draw vectors one after the other, with a chance proportional to 1 - cosine to the nearest one drawn so far.

    Of a few draws, the one that leaves the least total distance is taken (greedy k-means++).
    """
    draws = 2 + int(np.log(clusters))
    chosen = [int(rng.integers(len(unit)))]
    distances = _distances(unit, chosen)[:, 0]  # (n,) to the nearest one drawn
    while len(chosen) < clusters:
        distances[chosen] = 0
        if not distances.any():  # the remaining vectors are copies of drawn ones
            chosen.append(int(np.setdiff1d(np.arange(len(unit)), chosen)[0]))
            continue
        weights = np.cumsum(distances, dtype=np.float64)
        drawn = np.searchsorted(weights, rng.random(draws) * weights[-1], side="right")
        left = np.minimum(distances[:, None], _distances(unit, drawn))  # (n, draws)
        best = int(left.sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        distances = left[:, best]
    return unit[chosen]


def _distances(unit: Floats, rows: Sequence[int] | Integers) -> Floats:
    """Return 1 - cosine of all unit vectors to those of some rows, at least 0, (n, len(rows))."""
    distances: Floats = np.maximum(1 - unit @ unit[rows].T, 0)
    return distances


def _mean_directions(unit: Floats, labels: Integers, cosines: Floats, clusters: int) -> Floats:
    """Return the directions of the clusters' sums, (clusters, dim); an empty cluster takes a distant vector."""
    ones = np.ones(len(unit), np.float32)
    members = csr_array((ones, (labels, np.arange(len(unit)))), shape=(clusters, len(unit)))
    centroids = unit_rows(members @ unit)
    empty = np.flatnonzero(~np.any(centroids != 0, axis=1))
    centroids[empty] = unit[np.argsort(cosines, kind="stable")[: len(empty)]]
    return centroids
