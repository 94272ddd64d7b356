from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twhin_spark.training.bucket_schedule import cross_pairs, deal, inner_pairs, rounds_of_epoch, tournament


@pytest.mark.parametrize("groups", range(1, 34))
def test_every_two_groups_meet_once_and_nobody_plays_twice_in_a_round(groups: int) -> None:
    rounds = tournament(groups)
    for pairs in rounds:
        players = [group for a, b in pairs for group in {a, b}]
        assert len(players) == len(set(players)), pairs
    met = Counter(pair for pairs in rounds for pair in pairs)
    assert met == Counter(itertools.combinations(range(groups), 2) if groups > 1 else [(0, 0)])
    assert len(rounds) == (1 if groups == 1 else groups - 1 + groups % 2)


@given(partitions=st.integers(1, 40), groups=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_a_deal_gives_every_group_its_fair_number(partitions: int, groups: int, seed: int) -> None:
    sizes = np.bincount(deal(partitions, groups, np.random.default_rng(seed)), minlength=groups)
    assert sizes.sum() == partitions
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("size", range(1, 9))
def test_walks_meet_every_pair_once_and_swap_one_group_a_step(size: int) -> None:
    groups, others = range(size), range(10, 10 + size)
    for walk, expected in (
        (inner_pairs(groups), itertools.combinations(groups, 2)),
        (cross_pairs(groups, others), itertools.product(groups, others)),
    ):
        assert Counter(walk) == Counter(expected)
        assert all(set(before) & set(after) for before, after in itertools.pairwise(walk)), walk


@given(
    partitions=st.integers(1, 12),
    super_groups=st.integers(1, 7),
    members=st.integers(1, 4),
    block=st.integers(0, 23),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 100),
)
def test_every_edge_is_trained_exactly_once_an_epoch(
    partitions: int, super_groups: int, members: int, block: int, seed: int, epoch: int
) -> None:
    trained: Counter[tuple[int, int, int]] = Counter()
    for training_round in rounds_of_epoch(partitions, super_groups * members, super_groups, seed, epoch):
        loaded = [{group for pair in walk for group in pair} for walk in training_round.walks]
        assert len(set().union(*loaded)) == sum(map(len, loaded)), "two tasks share a group"
        task_of, step_of = training_round.steps()
        for i, j in itertools.product(range(partitions), range(partitions)):
            pair = training_round.group_of[i], training_round.group_of[j]
            if task_of[pair] >= 0:
                assert set(pair) <= set(training_round.walks[task_of[pair]][step_of[pair]]), (
                    "trained while it is not held"
                )
                trained.update((i, j, edge) for edge in range(block)[training_round.share(i, j)])
    assert trained == Counter(itertools.product(range(partitions), range(partitions), range(block)))


def test_epochs_deal_differently_and_the_seed_alone_decides() -> None:
    first, again, later = (rounds_of_epoch(32, 4, 4, 7, epoch)[0].group_of for epoch in (0, 0, 1))
    assert (first == again).all()
    assert (first != later).any()
