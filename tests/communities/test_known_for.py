"""KnownFor and the similarity without Spark: cliques by hand, ids from version to version, counts of pairs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from twhin_spark.communities.known_for import identify, search, start_labels, statistics
from twhin_spark.communities.previous_communities import PreviousCommunities
from twhin_spark.communities.similarity import common_consumers
from twhin_spark.config.communities import KnownForConfig


def _two_cliques() -> sparse.csr_array:
    """Return two cliques of four with an edge between nodes 3 and 4, and a ninth node without edges."""
    pairs = [*itertools.combinations(range(4), 2), *itertools.combinations(range(4, 8), 2), (3, 4)]
    ends = np.array([*pairs, *(pair[::-1] for pair in pairs)]).T
    return sparse.csr_array((np.ones(len(ends[0])), tuple(ends)), shape=(9, 9))


@pytest.mark.parametrize("method", ["levels", "metropolis"])
def test_two_cliques_are_two_communities_with_weights_of_length_one(method: Any) -> None:
    known_for = search(_two_cliques(), KnownForConfig(method=method, iterations=20), 10.0, np.full(9, -1))
    left, right = known_for.community[0], known_for.community[4]
    assert known_for.community.tolist() == [*[left] * 4, *[right] * 4, -1]
    assert left != right
    assert known_for.affiliation.tolist() == [1, 1, 1, 0.75, 0.75, 1, 1, 1, 0]
    length = np.sqrt(3 + 0.75**2)
    np.testing.assert_allclose(known_for.weight[:4], [1 / length, 1 / length, 1 / length, 0.75 / length])
    assert known_for.weight[8] == 0


def test_a_search_starts_from_communities_of_any_number() -> None:
    assert start_labels(np.array([7, -1, 9, 7, -1])).tolist() == [0, 2, 1, 0, 3]


def test_communities_keep_their_ids_and_new_ones_get_ids_that_were_never_used() -> None:
    before = np.array([5, 5, 5, 5, 5, 8, 8, -1, -1])
    split = identify(np.array([0, 0, 0, 1, 1, 2, 2, 3, 3]), before, 11)
    assert split.community.tolist() == [5, 5, 5, 11, 11, 8, 8, 12, 12]
    assert split.next_community == 13
    merged = identify(np.array([4, 4, 4, 4, 4, 4, 4, -1, -1]), before, 11)
    assert merged.community.tolist() == [5] * 7 + [-1] * 2
    assert merged.next_community == 11


def test_a_community_that_shares_few_members_is_new() -> None:
    before = np.array([3, 3, 3, 3, 3, 3, -1, -1, -1])
    moved = identify(np.array([-1, -1, -1, -1, -1, 0, 0, 0, 0]), before, 4)
    assert moved.community[-1] == 4


def test_changes_say_what_became_of_each_community() -> None:
    before = PreviousCommunities("v1", np.arange(8), np.array([0, 0, 1, 1, 2, 2, 3, 3]))
    changes = before.changes(np.arange(1, 10), np.array([0, 1, 1, 2, 2, 2, -1, 9, 9]))
    assert changes == {0: "changed", 1: "same", 2: "changed", 3: "lost", 9: "new"}


def test_statistics_of_two_cliques_by_hand() -> None:
    found = statistics(_two_cliques(), np.array([4, 4, 4, 4, 7, 7, 7, 7, -1]))
    assert found.community.tolist() == [4, 7]
    assert found.size.tolist() == [4, 4]
    assert found.precision.tolist() == [1, 1]
    np.testing.assert_allclose(found.recall, 12 / 13)
    np.testing.assert_allclose(found.conductance, 1 / 13)


def test_common_consumers_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    edges = np.unique(rng.integers((1000, 0), (1015, 9), size=(80, 2)), axis=0)
    pair, common = common_consumers(edges[:, 0], edges[:, 1], 9)
    followers = [set(edges[edges[:, 1] == producer, 0]) for producer in range(9)]
    expected = {
        i * 9 + j: len(followers[i] & followers[j])
        for i, j in itertools.combinations(range(9), 2)
        if followers[i] & followers[j]
    }
    assert dict(zip(pair.tolist(), common.tolist(), strict=True)) == expected
