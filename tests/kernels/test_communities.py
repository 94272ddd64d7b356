"""Communities: gains against the formula, cliques by hand, planted partitions, identity from day to day."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from twhin_spark.kernels.communities import (
    SCALE,
    PottsGraph,
    affiliations,
    best_communities,
    find_communities,
    gains_of,
    known_for_graph,
    label_single_nodes,
    move_nodes,
    potts_graph,
    quality,
    sample_communities,
)

CLIQUES = [range(4), range(4, 8)]


def _matrix(
    edges: list[tuple[int, int]], weights: list[float] | None = None, count: int | None = None
) -> sparse.csr_array:
    source, target = np.array(edges).T
    data = np.ones(len(edges)) if weights is None else np.array(weights)
    half = sparse.coo_array((data, (source, target)), shape=(count or int(target.max()) + 1,) * 2).tocsr()
    return sparse.csr_array(half + half.T)


def _two_cliques() -> sparse.csr_array:
    return _matrix([(3, 4), *(pair for clique in CLIQUES for pair in itertools.combinations(clique, 2))])


def _planted(count: int, communities: int, degree: int, noise: float, seed: int) -> tuple[sparse.csr_array, np.ndarray]:
    """Edges within equal communities, a share of `noise` of them anywhere."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % communities
    source, anywhere = rng.integers(count, size=(2, count * degree // 2))
    inside = truth[source] + communities * rng.integers(count // communities, size=len(source))
    target = np.where(rng.random(len(source)) < noise, anywhere, inside)
    kept = source != target
    matrix = _matrix(list(zip(source[kept], target[kept], strict=True)), count=count)
    matrix.data[:] = 1
    return matrix, truth


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    """The share of pairs of nodes, drawn at random, about which two partitions agree."""
    u, v = np.random.default_rng(0).integers(len(first), size=(2, 100_000))
    return float(np.mean((first[u] == first[v]) == (second[u] == second[v])))


def _random_graph(rng: np.random.Generator, count: int = 12) -> PottsGraph:
    edges = [pair for pair in itertools.combinations(range(count), 2) if rng.random() < 0.4]
    graph = known_for_graph(_matrix(edges, list(rng.uniform(0.1, 1, len(edges))), count), resolution=2.0)
    return replace(graph, size=rng.integers(1, 4, count))


def _slow_quality(graph: PottsGraph, labels: np.ndarray) -> float:
    dense = graph.weights.toarray()
    pairs = [(u, v) for u, v in itertools.combinations(range(len(graph)), 2) if labels[u] == labels[v]]
    costs = [graph.size[u] * graph.penalty[v] + graph.penalty[u] * graph.size[v] for u, v in pairs]
    return float(sum(int(dense[pair]) for pair in pairs) - sum(map(int, costs))) / SCALE


@pytest.mark.parametrize("seed", range(5))
def test_quality_is_the_sum_over_pairs_and_a_gain_is_its_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = _random_graph(rng)
    labels = rng.integers(4, size=len(graph))
    before = _slow_quality(graph, labels)
    assert quality(graph, labels) == before
    gains = gains_of(graph, labels, np.arange(len(graph)))
    assert len(gains.row)
    for row, community, gain in zip(gains.row, gains.community, gains.gain, strict=True):
        moved = labels.copy()
        moved[row] = community
        assert _slow_quality(graph, moved) - before == pytest.approx((gain - gains.stay[row]) / SCALE)
        alone = labels.copy()
        alone[row] = 11
        assert _slow_quality(graph, alone) - before == pytest.approx(-gains.stay[row] / SCALE)


def test_known_for_has_the_gains_of_the_formula() -> None:
    similarity, alpha = _matrix([(0, 1), (0, 2), (1, 2), (2, 3)], [0.5, 0.25, 1.0, 0.75]), 3.0
    labels = np.array([0, 0, 0, 0])
    mean = np.asarray(similarity.sum(axis=1)).ravel() / np.diff(similarity.indptr)
    dense = similarity.toarray()
    objective = sum(alpha * dense[u].sum() - mean[u] * (3 - np.count_nonzero(dense[u])) for u in range(4))
    assert quality(known_for_graph(similarity, alpha), labels) == pytest.approx(objective, abs=1e-4)


def test_the_moves_do_not_depend_on_how_nodes_are_split_over_tasks() -> None:
    matrix, _ = _planted(600, 20, 12, 0.5, seed=1)
    graph, labels = known_for_graph(matrix, 3.0), np.arange(600) % 97
    nodes = np.random.default_rng(0).permutation(600)
    for choose in (best_communities, sample_communities):
        whole = choose(gains_of(graph, labels, nodes), 5)
        parts = [choose(gains_of(graph, labels, part), 5) for part in np.array_split(nodes, 7)]
        np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("noise", [0.3, 0.6])
def test_planted_communities_are_found(noise: float) -> None:
    matrix, truth = _planted(3000, 60, 20, noise, seed=0)
    graph = potts_graph(matrix, resolution=0.25 * (1 - noise) * 20 / 50)
    labels = find_communities(graph, seed=0)
    assert _agreement(labels, truth) > 0.995
    assert quality(graph, labels) >= 0.999 * quality(graph, truth)


def test_levels_reach_what_single_moves_do_not() -> None:
    matrix, _ = _planted(3000, 60, 20, 0.6, seed=2)
    graph = potts_graph(matrix, resolution=0.04)
    single = move_nodes(graph, np.arange(len(graph)), seed=0)
    assert quality(graph, find_communities(graph, seed=0)) > 1.01 * quality(graph, single)


def test_yesterdays_labels_are_the_identity_of_communities() -> None:
    matrix, truth = _planted(3000, 60, 20, 0.3, seed=0)
    graph = potts_graph(matrix, resolution=0.07)
    yesterday = find_communities(graph, seed=0)
    rng = np.random.default_rng(3)
    half = sparse.triu(matrix).tocoo()
    kept = rng.random(half.nnz) > 0.1
    edges = list(zip(half.coords[0][kept], half.coords[1][kept], strict=True))
    today = potts_graph(_matrix([*edges, (0, 60)], count=3000), resolution=0.07)
    warm = find_communities(today, seed=1, start=yesterday)
    cold = find_communities(today, seed=1)
    assert np.mean(warm == yesterday) > 0.98
    assert np.mean(cold == yesterday) < 0.2
    assert quality(today, warm) > 0.995 * quality(today, cold)
    assert _agreement(warm, truth) > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_metropolis_finds_two_cliques_and_their_affiliations(seed: int) -> None:
    similarity = _two_cliques()
    graph, labels = known_for_graph(similarity, 10.0), np.arange(8)
    for epoch in range(4):
        for node in range(8):  # one at a time
            labels[[node]] = sample_communities(gains_of(graph, labels, np.array([node])), seed + 10 * epoch)
            label_single_nodes(labels)
    assert [len(set(labels[list(clique)])) for clique in CLIQUES] == [1, 1]
    assert affiliations(similarity, np.repeat([0, 1], 4)).tolist() == [1, 1, 1, 0.75, 0.75, 1, 1, 1]


def test_odd_graphs() -> None:
    empty = sparse.csr_array((5, 5))
    assert len(set(find_communities(known_for_graph(empty, 10.0), seed=0))) == 5
    assert affiliations(empty, np.arange(5)).tolist() == [0] * 5
    pair = find_communities(known_for_graph(_matrix([(0, 1)], count=3), 1.0), seed=0)
    assert pair[0] == pair[1] != pair[2]
    assert len(find_communities(known_for_graph(sparse.csr_array((0, 0)), 1.0), seed=0)) == 0
