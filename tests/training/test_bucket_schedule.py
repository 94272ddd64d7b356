from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twhin_spark.training.bucket_schedule import Seat, deal, meetings, rounds_of_epoch
from twhin_spark.training.planning.costs import GroupLayout


@settings(deadline=None)
@given(groups=st.integers(0, 40), seats=st.integers(1, 25))
def test_every_two_groups_meet_once_and_no_group_twice_in_a_round(groups: int, seats: int) -> None:
    rounds = meetings(range(groups), seats)
    for pairs in rounds:
        assert 0 < len(pairs) <= seats
        members = [group for pair in pairs for group in pair]
        assert len(members) == len(set(members)), pairs
    met = Counter(tuple(sorted(pair)) for pairs in rounds for pair in pairs)
    assert met == Counter(itertools.combinations(range(groups), 2))


def test_four_groups_on_two_seats() -> None:
    assert meetings(range(4), 2) == [[(2, 0), (3, 1)], [(2, 1), (3, 0)], [(1, 0), (3, 2)]]
    last = rounds_of_epoch(4, 4, seats=2)[-1]
    assert last.seats == [Seat(0, None, inner=True)]  # it was never a resident


@pytest.mark.parametrize("seats", [1, 2, 8, 125])
def test_residents_stay_and_nearly_all_seats_are_taken(seats: int) -> None:
    rounds = meetings(range(2 * seats), seats)
    assert len(rounds) <= 2 * seats - 1 + np.log2(2 * seats)  # a tournament has 2 · seats - 1
    changes = sum(
        [pair[0] for pair in before] != [pair[0] for pair in after] for before, after in itertools.pairwise(rounds)
    )
    assert changes <= 2 * np.log2(2 * seats)


@given(partitions=st.integers(1, 40), groups=st.integers(1, 40), slices=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_a_deal_gives_every_group_its_fair_number(partitions: int, groups: int, slices: int, seed: int) -> None:
    slice_of = deal(partitions, groups, slices, np.random.default_rng(seed))
    of_groups = np.bincount(slice_of // slices, minlength=groups)
    assert of_groups.sum() == partitions
    assert of_groups.max() - of_groups.min() <= 1
    of_slices = np.bincount(slice_of, minlength=groups * slices).reshape(groups, slices)
    assert (of_slices.max(axis=1) - of_slices.min(axis=1)).max() <= 1


@settings(deadline=None)
@given(
    partitions=st.integers(1, 12),
    groups=st.integers(1, 12),
    slices=st.integers(1, 4),
    seats=st.integers(1, 7),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 100),
)
def test_every_bucket_is_trained_exactly_once_an_epoch(
    partitions: int, groups: int, slices: int, seats: int, seed: int, epoch: int
) -> None:
    trained: Counter[tuple[int, int]] = Counter()
    rounds = rounds_of_epoch(partitions, groups, seats=seats, slices=slices, seed=seed, epoch=epoch)
    for training_round in rounds:
        for seat in training_round.seats:
            resident = [p for s in training_round.slices_of(seat.resident) for p in training_round.partitions_of(s)]
            if seat.inner:
                trained.update(itertools.product(resident, resident))
            for number in training_round.visiting_slices(seat):
                visitors = training_round.partitions_of(number)
                trained.update(itertools.product(resident, visitors))
                trained.update(itertools.product(visitors, resident))
    assert trained == Counter(itertools.product(range(partitions), range(partitions)))


@settings(deadline=None)
@given(groups=st.integers(1, 60), seats=st.integers(1, 25))
def test_a_layout_counts_the_rounds_and_bounds_the_loads(groups: int, seats: int) -> None:
    rounds = rounds_of_epoch(groups, groups, seats=seats)
    layout = GroupLayout(groups, groups, seats)
    assert layout.rounds == len(rounds)
    if groups > 1 and seats >= groups // 2:
        seated: dict[int, list[Seat]] = {}
        loads = 0
        for training_round in rounds:
            residents = {seat.resident for seat in training_round.seats}
            loads += len(residents - set(seated)) + sum(seat.visitor is not None for seat in training_round.seats)
            seated = dict.fromkeys(residents)
        assert loads <= layout.loads(relays=0) <= loads + groups  # a resident may stay where another phase begins


def test_epochs_deal_differently_and_the_seed_alone_decides() -> None:
    first, again, later = (rounds_of_epoch(32, 4, seats=2, seed=7, epoch=e)[0].slice_of for e in (0, 0, 1))
    assert (first == again).all()
    assert (first != later).any()
