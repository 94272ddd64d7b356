"""Simulation of an epoch on a cluster: the rounds and relays of training, with costs fitted to measured trainings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.planning.costs import FLOAT_BYTES, GroupLayout
from twhin_spark.training.relay import Relay


@dataclass(frozen=True)
class Costs:
    """Costs of training.

    Attributes
    ----------
    edge_seconds
        Kernels of an edge on one thread.
    serial
        The part of them that threads do not share: n threads take (serial + (1 - serial) / n) of the time.
    beside
        Factor of the kernels' time if all cores of the machine are busy, as they share its memory.
    unpack_seconds, send_seconds
        To unpack an edge; to sort it and send it to the lane, which happens during training if there are several steps.
    state_bytes
        Bytes of state that one thread of a lane reads or writes in a second.
    message_seconds, relay_seconds, task_seconds
        Of an exchange between lanes; of a Spark job with its commit; of the driver for each task.
    spread
        Standard deviation of the logarithm of a step's time among lanes.
    """

    edge_seconds: float
    serial: float
    beside: float
    unpack_seconds: float
    send_seconds: float
    state_bytes: float
    message_seconds: float
    relay_seconds: float
    task_seconds: float
    spread: float


@dataclass(frozen=True)
class Training:
    """An epoch: the graph, the layout, and the lanes that train it on equal machines.

    Attributes
    ----------
    edges, entities, dim, layout
        The graph, the dimension, and the layout.
    lanes, threads
        Tasks that run at the same time, and threads of each.
    rounds_a_relay
        Rounds between commits.
    cores_busy
        If true, a thread that moves state takes its time from one that trains.
    link_bytes
        Bytes a second of the link of one lane, which carries all that it reads and writes.
    """

    edges: int
    entities: int
    dim: int
    layout: GroupLayout
    lanes: int
    threads: int
    rounds_a_relay: int
    cores_busy: bool
    link_bytes: float = float("inf")

    @property
    def group_bytes(self) -> float:
        return self.entities * (self.dim + 1) * FLOAT_BYTES / self.layout.groups

    @property
    def bucket_edges(self) -> float:
        """Edges inside a group; there are twice as many between two groups."""
        return self.edges / self.layout.groups**2


def simulate(training: Training, costs: Costs, seed: int = 0) -> float:
    """Return the wall seconds of the epoch."""
    layout, rng = training.layout, np.random.default_rng(seed)
    start = costs.relay_seconds + costs.task_seconds * min(training.lanes, layout.tasks)
    if layout.groups == 1:
        lane = _Lane(training, costs, rng)
        lane.move(training.group_bytes)
        lane.clock += training.edges * costs.send_seconds
        lane.train(training.edges)
        lane.move(training.group_bytes)
        return lane.clock + start
    rounds = rounds_of_epoch(layout.partitions, layout.groups, seats=layout.tasks, slices=layout.slices)
    seconds = 0.0
    for begin in range(0, len(rounds), training.rounds_a_relay):
        relay = Relay(rounds[begin : begin + training.rounds_a_relay], [], training.lanes)
        lanes = [_Lane(training, costs, rng) for _ in range(relay.width)]
        for number in range(len(relay.rounds)):
            _simulate_round(relay, number, lanes)
        seconds += max(lane.clock for lane in lanes) + start
    return seconds


def _simulate_round(relay: Relay, number: int, lanes: list[_Lane]) -> None:
    """Add a round to the lanes' clocks, in the order of `LaneTask`."""
    seats = [relay.seats_of(lane, number) for lane in range(len(lanes))]
    all_written = relay.ends_with_all_written(number)
    for turn in range(max(map(len, seats))):
        of_turn = [(i, lane_seats[turn][1]) for i, lane_seats in enumerate(seats) if turn < len(lane_seats)]
        for i, seat in of_turn:
            lanes[i].settle(seat.resident, inner=seat.inner)
        steps = relay.rounds[number].slices if any(seat.visitor is not None for _, seat in of_turn) else 0
        for step in range(steps):
            for i, _ in of_turn:
                lanes[i].step(more=step + 1 < steps or not all_written)
            if relay.pipelined and step + 1 < steps:
                _exchange(lanes)
        if all_written:
            for i, seat in of_turn:
                last = turn + 1 == len(seats[i])
                lanes[i].write_all(keep=last and relay.stays(i, number) == seat.resident)
    if relay.exchanges:
        _exchange(lanes)


def _exchange(lanes: list[_Lane]) -> None:
    """Let all lanes wait until the last one has written what it moved."""
    latest = max(max(lane.clock, lane.written) for lane in lanes)
    for lane in lanes:
        lane.clock = latest + lane.costs.message_seconds


class _Lane:
    """The clock of a lane, and the time until which its mover reads and writes slices."""

    def __init__(self, training: Training, costs: Costs, rng: np.random.Generator) -> None:
        self.training, self.costs, self._rng = training, costs, rng
        self.clock = 0.0
        self.written = 0.0  # when the last slice that left is written
        self._mover = 0.0
        self._resident: int | None = None
        self._slices = 0  # in the buffer
        self._arrival: float | None = None
        self._part = training.group_bytes / training.layout.slices
        threads = training.threads
        edge = costs.edge_seconds * (costs.serial + (1 - costs.serial) / threads)
        self._edge = edge * (costs.beside if training.cores_busy else 1.0)
        send = costs.send_seconds / threads if training.cores_busy and training.layout.groups > 1 else 0.0
        self._edge_beside = costs.unpack_seconds + send
        self._byte = max(1 / (costs.state_bytes * threads), 1 / training.link_bytes)
        self._stolen = 1 / (costs.state_bytes * threads) if training.cores_busy else 0.0  # from training, by a byte

    def move(self, count: float) -> None:
        """Read or write some bytes while nothing else happens."""
        self.clock = max(self.clock, self._mover) + count * self._byte
        self._mover = self.clock

    def train(self, edges: float, moved: float = 0.0) -> None:
        """Train some edges, while some bytes are moved."""
        noise = float(np.exp(self._rng.normal(0, self.costs.spread))) if self.costs.spread else 1.0
        self.clock += edges * (self._edge * noise + self._edge_beside) + moved * self._stolen

    def settle(self, resident: int, *, inner: bool) -> None:
        """Read a group that stays, unless it is here, and train the edges inside it if that is due."""
        if resident != self._resident:
            self.move(self.training.group_bytes)
            self._resident = resident
        if inner:
            self.train(self.training.bucket_edges)

    def step(self, *, more: bool) -> None:
        """Train with a slice. Meanwhile the one before is written, and the next one read if there is more."""
        if self._arrival is None:
            self._arrival = self._submit(self._part)
            self._slices += 1
        self.clock = max(self.clock, self._arrival)
        self._arrival, moved = None, 0.0
        if self._slices > 1:
            self.written = self._submit(self._part)
            self._slices, moved = self._slices - 1, moved + self._part
        if more:
            self._arrival = self._submit(self._part)
            self._slices, moved = self._slices + 1, moved + self._part
        self.train(2 * self.training.bucket_edges / self.training.layout.slices, moved)

    def write_all(self, *, keep: bool) -> None:
        """Write the slices, and the group unless it is kept."""
        self.move(self._slices * self._part)
        self._slices = 0
        if not keep:
            self.move(self.training.group_bytes)
            self._resident = None
        self.written = self.clock

    def _submit(self, count: float) -> float:
        self._mover = max(self._mover, self.clock) + count * self._byte
        return self._mover
