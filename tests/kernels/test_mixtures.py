"""Mixtures, lists drawn from them, and rank fusion, against loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from twhin_spark.kernels.mixtures import draw_in_proportion, mixtures, smooth_mixtures
from twhin_spark.kernels.rank_fusion import RankedCandidates, fuse


def test_mixtures_and_their_smoothing() -> None:
    own = mixtures(np.array([0, 0, 0, 2]), np.array([1, 1, 0, 2]), 4, 3)
    np.testing.assert_allclose(own.toarray(), [[1 / 3, 2 / 3, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]])
    neighbours = np.array([[2, 1], [0, 2], [-1, -1], [1, -1]])
    smoothed = smooth_mixtures(own, neighbours, own, 0.25).toarray()
    np.testing.assert_allclose(smoothed[0], [0.25, 0.5, 0.25])  # a neighbour without a mixture is left out
    np.testing.assert_allclose(smoothed[1], [1 / 6, 1 / 3, 1 / 2])
    np.testing.assert_allclose(smoothed[2], [0, 0, 1])
    np.testing.assert_allclose(smoothed[3], 0)
    np.testing.assert_array_equal(smooth_mixtures(own, neighbours, own, 0).toarray(), own.toarray())
    np.testing.assert_allclose(smooth_mixtures(own, neighbours, own, 1).toarray()[0], [0, 0, 1])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_every_beginning_of_a_list_has_the_clusters_in_proportion(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(rng.integers(1, 6)), 3)  # (sources, clusters)
    row, cluster, rank = (a.ravel() for a in np.meshgrid(*(np.arange(n) for n in (*weights.shape, 40)), indexing="ij"))
    weight = np.maximum(weights[row, cluster], 1e-9)
    picked = draw_in_proportion(row, weight, rank + 1, rng.normal(size=len(row)), k)
    for source in range(3):
        positions = picked[row[picked] == source]
        assert len(positions) == k
        for size in range(1, k + 1):
            counts = np.bincount(cluster[positions[:size]], minlength=weights.shape[1])
            assert np.all(np.abs(counts - weights[source] * size) < weights.shape[1])
        for number in np.unique(cluster[positions]):
            ranks = rank[positions][cluster[positions] == number]
            assert ranks.tolist() == list(range(len(ranks)))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 4))
def test_fusion_adds_reciprocal_ranks(seed: int, k: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    lists, weights = [], rng.uniform(0.1, 2, count)
    expected: Counter[tuple[int, int]] = Counter()
    for weight in weights:
        rows = [
            (s, t, r + 1) for s in range(4) for r, t in enumerate(rng.permutation(12)[: rng.integers(0, 9)].tolist())
        ]
        lists.append(RankedCandidates(*np.array(rows, np.int64).reshape(-1, 3).T))
        for source, target, rank in rows:
            expected[source, target] += weight / (60 + rank)
    key = rng.permutation(12)
    fused = fuse(lists, weights.tolist(), 60, k, key)
    for source in range(4):
        positions = np.flatnonzero(fused.source == source)
        loop = sorted(((-v, key[t], t) for (s, t), v in expected.items() if s == source))[:k]
        assert fused.target[positions].tolist() == [t for _, _, t in loop]
        assert fused.rank[positions].tolist() == list(range(1, len(loop) + 1))
        np.testing.assert_allclose(fused.score[positions], [-v for v, _, _ in loop])
    for i in range(len(fused.source)):
        tags = slice(fused.starts[i], fused.starts[i + 1])
        for number, rank in zip(fused.lists[tags], fused.ranks[tags], strict=True):
            ranked = lists[number]
            is_named = (ranked.source == fused.source[i]) & (ranked.target == fused.target[i])
            assert ranked.rank[is_named].tolist() == [rank]


def test_mixtures_without_engagements() -> None:
    empty = csr_array((2, 3))
    none = np.zeros((2, 0), np.int64)
    np.testing.assert_array_equal(smooth_mixtures(empty, none, empty, 0.5).toarray(), np.zeros((2, 3)))


def test_the_examples_of_the_docstrings() -> None:
    row, cluster, rank = np.zeros(5, int), np.array([0, 0, 0, 1, 1]), np.array([1, 2, 3, 1, 2])
    picked = draw_in_proportion(row, np.array([2 / 3, 1 / 3])[cluster], rank, np.zeros(5), 5)
    assert cluster[picked].tolist() == [0, 1, 0, 0, 1]
    ranks = np.array([1, 2])
    lists = [RankedCandidates(np.zeros(2, int), np.array(targets), ranks) for targets in ([0, 1], [1, 2])]
    fused = fuse(lists, [1, 1], 60, 3, np.arange(3))
    assert fused.target.tolist() == [1, 0, 2]
    assert (fused.starts.tolist(), fused.lists.tolist(), fused.ranks.tolist()) == (
        [0, 2, 3, 4],
        [0, 1, 0, 1],
        [2, 1, 1, 2],
    )
