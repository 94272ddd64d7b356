"""Spherical k-means: clusters of directions, each with a unit centroid (I. Dhillon and D. Modha, 2001).

The closeness of a vector to a centroid is their cosine. A zero vector has no direction and moves no centroid.
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
    """centroids: unit vectors, float32 (clusters, dim). closeness: the mean cosine after each iteration."""

    centroids: Floats
    closeness: list[float]


def spherical_kmeans(
    vectors: Floats, clusters: int, rng: np.random.Generator, *, iterations: int = 30, tolerance: float = 1e-4
) -> Clustering:
    """Clusters vectors (n, dim), until the mean cosine gains less than `tolerance` or after so many iterations.

    The first centroids are drawn as in k-means++ (D. Arthur and S. Vassilvitskii, 2007). A cluster that loses its last
    vector takes the one that is farthest from its centroid. Raises ValueError where fewer vectors than clusters have a
    direction.
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
        centroids = _moved(unit, labels, cosines, clusters)
    return Clustering(centroids, closeness)


def nearest_centroids(vectors: Floats, centroids: Floats) -> tuple[Integers, Floats]:
    """The nearest of unit centroids (clusters, dim) to each vector (n, dim): its number and the cosine, both (n,)."""
    labels = np.zeros(len(vectors), np.int64)
    cosines = np.zeros(len(vectors), np.float32)
    for first in range(0, len(vectors), _BLOCK_ROWS):
        rows = slice(first, first + _BLOCK_ROWS)
        scores = unit_rows(vectors[rows]) @ centroids.T  # (block, clusters)
        labels[rows] = scores.argmax(axis=1)
        cosines[rows] = scores.max(axis=1)
    return labels, cosines


def unit_rows(vectors: Floats) -> Floats:
    """The vectors (n, dim) over their norms, float32; a zero vector stays zero."""
    vectors = vectors.astype(np.float32, copy=False)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return unit


def _first_centroids(unit: Floats, clusters: int, rng: np.random.Generator) -> Floats:
    """Vectors drawn one after the other, with a chance proportional to 1 - cosine to the nearest one drawn so far.

    Of a few draws the one stays that leaves the least distance (greedy k-means++).
    """
    draws = 2 + int(np.log(clusters))
    chosen = [int(rng.integers(len(unit)))]
    far = _distances(unit, chosen)[:, 0]
    while len(chosen) < clusters:
        far[chosen] = 0
        if not far.any():  # what is left are copies of what was drawn
            chosen.append(int(np.setdiff1d(np.arange(len(unit)), chosen)[0]))
            continue
        weights = np.cumsum(far, dtype=np.float64)
        drawn = np.searchsorted(weights, rng.random(draws) * weights[-1], side="right")
        left = np.minimum(far[:, None], _distances(unit, drawn))  # (n, draws)
        best = int(left.sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        far = left[:, best]
    return unit[chosen]


def _distances(unit: Floats, rows: Sequence[int] | Integers) -> Floats:
    """1 - cosine of all unit vectors to some of them, not below zero: (n, len(rows))."""
    distances: Floats = np.maximum(1 - unit @ unit[rows].T, 0)
    return distances


def _moved(unit: Floats, labels: Integers, cosines: Floats, clusters: int) -> Floats:
    """The directions of the clusters' sums (clusters, dim)."""
    ones = np.ones(len(unit), np.float32)
    members = csr_array((ones, (labels, np.arange(len(unit)))), shape=(clusters, len(unit)))
    centroids = unit_rows(members @ unit)
    empty = np.flatnonzero(~np.any(centroids != 0, axis=1))
    centroids[empty] = unit[np.argsort(cosines, kind="stable")[: len(empty)]]
    return centroids
