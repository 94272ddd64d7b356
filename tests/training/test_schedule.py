from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twhin_spark.training.schedule import deal, rounds_of_epoch, tournament


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


@given(
    partitions=st.integers(1, 12),
    groups=st.integers(1, 12),
    block=st.integers(0, 23),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 100),
)
def test_every_edge_is_trained_exactly_once_an_epoch(
    partitions: int, groups: int, block: int, seed: int, epoch: int
) -> None:
    trained: Counter[tuple[int, int, int]] = Counter()
    for this in rounds_of_epoch(partitions, groups, seed, epoch):
        loaded = [this.partitions_of(task) for task in range(this.tasks)]
        assert len(set(itertools.chain(*loaded))) == sum(map(len, loaded)), "two tasks share a partition"
        for mine in loaded:
            for i, j in itertools.product(mine, mine):
                trained.update((i, j, edge) for edge in range(block)[this.share(i, j)])
    assert trained == Counter(itertools.product(range(partitions), range(partitions), range(block)))


def test_epochs_deal_differently_and_the_seed_alone_decides() -> None:
    first, again, later = (rounds_of_epoch(32, 4, 7, epoch)[0].group_of for epoch in (0, 0, 1))
    assert (first == again).all()
    assert (first != later).any()
