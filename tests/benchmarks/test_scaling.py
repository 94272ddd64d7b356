"""The simulation of clusters: what costs nothing adds nothing, and what costs more takes longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.scaling.fit import core_seconds
from benchmarks.scaling.simulator import Costs, Training, simulate
from twhin_spark.training.planning.costs import GroupLayout

FREE = Costs(
    edge_seconds=1e-5,
    serial=0.0,
    beside=1.0,
    unpack_seconds=0.0,
    send_seconds=0.0,
    state_bytes=float("inf"),
    message_seconds=0.0,
    relay_seconds=0.0,
    task_seconds=0.0,
    spread=0.0,
)
EPOCH = Training(
    edges=10**9,
    entities=10**7,
    dim=128,
    layout=GroupLayout(64, 8, 4, 3),
    lanes=4,
    threads=2,
    rounds_a_relay=3,
    cores_busy=True,
)


def test_an_epoch_of_kernels_alone_takes_the_time_of_its_rounds() -> None:
    alone = simulate(replace(EPOCH, layout=GroupLayout(64, 1), lanes=1), FREE)
    assert alone == pytest.approx(10**9 * 1e-5 / 2)
    together = simulate(EPOCH, FREE)
    assert alone / 4 <= together <= alone / 4 * 1.2  # the last round trains one group alone


@pytest.mark.parametrize(
    "costs",
    [
        replace(FREE, serial=0.1),
        replace(FREE, beside=1.1),
        replace(FREE, unpack_seconds=1e-6),
        replace(FREE, send_seconds=1e-6),
        replace(FREE, state_bytes=1e6),
        replace(FREE, message_seconds=1.0),
        replace(FREE, relay_seconds=9.0),
        replace(FREE, task_seconds=9.0),
        replace(FREE, spread=0.1),
    ],
)
def test_each_cost_takes_time(costs: Costs) -> None:
    assert simulate(EPOCH, costs) > simulate(EPOCH, FREE) * 1.001


def test_moving_takes_no_time_while_it_is_faster_than_training() -> None:
    idle = replace(EPOCH, cores_busy=False)
    fast, slow = (replace(FREE, state_bytes=rate) for rate in (3e9, 3e8))
    waits = [simulate(idle, costs) - simulate(idle, FREE) for costs in (fast, slow)]
    assert waits[0] < 0.1 * simulate(idle, FREE)
    without_slices = replace(idle, layout=GroupLayout(64, 8, 4, 1))
    assert simulate(without_slices, slow) - simulate(without_slices, FREE) > 1.5 * waits[1]
    assert simulate(EPOCH, slow) - simulate(EPOCH, FREE) > 1.1 * waits[1]  # busy cores move instead of training


def test_core_seconds_hardly_grow_if_all_but_the_link_is_free() -> None:
    two, many = (core_seconds(cores, FREE, 100) for cores in (2, 2000))
    # Some rounds have free seats, and a relay begins with reading residents and ends with writing them.
    assert 1 <= many / two < 1.2
