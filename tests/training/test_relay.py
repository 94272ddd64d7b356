"""Relays: each step has one place, and what passes between lanes in the middle of a round was written before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.toy_graph import run_settings
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.relay import Relay


def _relay(groups: int, seats: int, slices: int, lanes: int) -> Relay:
    rounds = rounds_of_epoch(groups * slices, groups, seats=seats, slices=slices)
    return Relay(rounds, [run_settings("").train] * len(rounds), lanes)


@settings(deadline=None)
@given(lanes=st.integers(1, 5), seats=st.integers(1, 5), slices=st.integers(1, 4))
def test_positions_are_sorted_as_a_lane_trains_them(lanes: int, seats: int, slices: int) -> None:
    relay = _relay(2 * seats, seats, slices, lanes)
    assert relay.width == min(lanes, seats)
    seen = 0
    for lane in range(relay.width):
        places = [
            (number, task, step)
            for number in range(len(relay.rounds))
            for task, _ in relay.seats_of(lane, number)
            for step in range(slices + 1)
        ]
        positions = [relay.position(*place) for place in places]
        assert positions == sorted(set(positions))
        assert [relay.place(position) for position in positions] == places
        seen += len(places)
    assert seen == sum(training_round.tasks for training_round in relay.rounds) * (slices + 1)


@settings(deadline=None)
@given(groups=st.integers(4, 30), slices=st.integers(3, 5))
def test_a_slice_is_read_two_steps_after_it_was_trained_at_the_earliest(groups: int, slices: int) -> None:
    relay = _relay(groups, groups // 2, slices, lanes=groups)
    assert relay.pipelined
    trained: dict[int, int] = {}  # by slice, the last step that trained it
    for number, training_round in enumerate(relay.rounds):
        for seat in training_round.seats:
            for step, slice_number in enumerate(training_round.visiting_slices(seat)):
                at = number * slices + step
                if number and not relay.ends_with_all_written(number - 1):
                    invited = at - 1
                    assert trained.get(slice_number, -9) <= invited - 2
                trained[slice_number] = at
        if relay.ends_with_all_written(number):
            trained = {}


@pytest.mark.parametrize(("lanes", "slices", "pipelined"), [(2, 3, True), (2, 2, False), (1, 3, False)])
def test_slices_pass_in_the_middle_of_a_round_if_each_lane_has_one_seat(
    lanes: int, slices: int, pipelined: bool
) -> None:
    relay = _relay(4, 2, slices, lanes)
    assert relay.pipelined == pipelined
    assert relay.messages == len(relay.rounds) * (slices if pipelined else 1)
    if lanes == 2:
        assert [relay.stays(0, number) for number in range(4)] == [2, None, None, None]
