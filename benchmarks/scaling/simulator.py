"""Simulation of an epoch on a cluster, by the bucket schedule of training, with costs fitted to measured trainings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twhin_spark.training.bucket_schedule import meetings
from twhin_spark.training.planning.costs import FLOAT_BYTES
from twhin_spark.training.relay import PIPELINED_SLICES


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
    unpack_seconds
        To send, sort and unpack an edge.
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
    state_bytes: float
    message_seconds: float
    relay_seconds: float
    task_seconds: float
    spread: float


@dataclass(frozen=True)
class Training:
    """An epoch: the graph, the layout, and the lanes that train it on equal machines.

    link_bytes: bytes a second, in each direction, of the link of one lane to store and peers.
    """

    edges: int
    entities: int
    dim: int
    groups: int
    seats: int
    slices: int
    lanes: int
    threads: int
    cores_busy: bool
    link_bytes: float = float("inf")
    commit_seconds: float = 60.0

    @property
    def group_bytes(self) -> float:
        return self.entities * (self.dim + 1) * FLOAT_BYTES / self.groups


def simulate(training: Training, costs: Costs, seed: int = 0) -> float:
    """Return the wall seconds of the epoch."""
    edge = costs.edge_seconds * (costs.serial + (1 - costs.serial) / training.threads)
    edge = edge * (costs.beside if training.cores_busy else 1.0) + costs.unpack_seconds
    move = training.group_bytes / min(costs.state_bytes * training.threads, training.link_bytes)  # one way
    start = costs.relay_seconds + costs.task_seconds * training.lanes
    if training.groups == 1:
        return training.edges * edge + 2 * move + start
    epoch = _Epoch(training, costs, edge, move, np.random.default_rng(seed))
    rounds = meetings(range(training.groups), training.seats)
    settled: set[int] = set()
    seated: list[int] = []
    seconds = since_commit = 0.0
    relays = 1
    for number, pairs in enumerate(rounds):
        residents = [resident for resident, _ in pairs]
        after = [resident for resident, _ in rounds[number + 1]] if number + 1 < len(rounds) else []
        new = len(set(residents) - settled)
        took = epoch.round(len(pairs), new, cold=residents != seated, drained=residents != after)
        settled.update(residents)
        seated = residents
        seconds, since_commit = seconds + took, since_commit + took
        if since_commit > training.commit_seconds:
            relays, since_commit, seated = relays + 1, 0.0, []
    last = training.edges / training.groups**2 * edge + 2 * move  # the edges inside the group that never settled
    return seconds + last + relays * start


@dataclass(frozen=True)
class _Epoch:
    training: Training
    costs: Costs
    edge: float  # seconds of an edge in a lane
    move: float  # seconds to read a group, or to write it
    rng: np.random.Generator

    def round(self, seats: int, new: int, *, cold: bool, drained: bool) -> float:
        """Return the seconds of a round. new: residents whose inner edges are trained. cold: residents are read."""
        training, costs = self.training, self.costs
        inner = training.edges / training.groups**2 * self.edge
        step = 2 * inner / training.slices
        part = self.move / training.slices
        waves = -(-seats // training.lanes)
        begin = (self.move if cold else 0.0) + (inner if new else 0.0)
        end = (self.move if drained else 0.0) + part
        pipelined = training.lanes >= training.seats > 1 and training.slices >= PIPELINED_SLICES
        noise = np.exp(self.rng.normal(0, costs.spread, (training.slices, min(seats, training.lanes))))
        steps = np.maximum(step * noise, 2 * part)  # a slice is written and the next one read during a step
        if pipelined:
            own = float(steps.max(axis=1).sum()) + training.slices * costs.message_seconds
            return begin + own + (part if cold else 0.0) + (end if drained else 0.0)
        seconds = waves * (begin + part + float(steps.sum(axis=0).max()) + part + (self.move if drained else 0.0))
        return seconds + (costs.message_seconds if training.lanes > 1 else 0.0)
