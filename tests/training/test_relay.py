"""Relays: lanes keep half of the state, and each pair of groups has one place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.toy_graph import run_settings
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.relay import Relay, plan_lanes


def _relay(groups: int, super_groups: int, lanes: int) -> Relay:
    rounds = rounds_of_epoch(groups, groups, super_groups, seed=0, epoch=0)
    return Relay(rounds, [run_settings("").train] * len(rounds), plan_lanes(rounds, lanes))


@settings(deadline=None)
@given(half=st.integers(1, 12), members=st.integers(1, 3))
def test_each_lane_keeps_a_super_group_from_round_to_round(half: int, members: int) -> None:
    relay = _relay(2 * half * members, 2 * half, half)
    for number, training_round in enumerate(relay.rounds):
        assert sorted(relay.lanes[number]) == list(range(half))
        for lane in range(half):
            trained = relay.groups_of(lane, [number])
            leaving = relay.leaving(lane, number)
            assert leaving <= trained
            assert len(trained - leaving) == (members if training_round is not relay.rounds[-1] else 0)


@pytest.mark.parametrize("players", [3, 5, 9])
def test_lanes_of_an_odd_number_of_groups(players: int) -> None:
    relay = _relay(players, players, players)
    assert {sorted(lanes)[-1] for lanes in relay.lanes} == {players // 2 - 1}
    moved = sum(len(relay.leaving(lane, n)) for lane in range(relay.width) for n in range(players - 1))
    assert moved <= (players - 1) * (players // 2 + 1)


@settings(deadline=None)
@given(lanes=st.integers(1, 5), half=st.integers(1, 5), members=st.integers(1, 3))
def test_positions_are_sorted_as_a_lane_trains_them(lanes: int, half: int, members: int) -> None:
    relay = _relay(2 * half * members, 2 * half, lanes)
    assert relay.width == min(lanes, half)
    for lane in range(relay.width):
        places = [
            (number, task, step)
            for number, training_round in enumerate(relay.rounds)
            for task in relay.tasks_of(lane, number)
            for step in range(len(training_round.walks[task]))
        ]
        positions = [relay.position(*place) for place in places]
        assert positions == sorted(set(positions))
        assert [relay.place(position) for position in positions] == places
