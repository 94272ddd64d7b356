"""Training speed of the kernels in two processes, each with half of the edges and a model of its own, as two tasks."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import BrokenBarrierError
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.speed import fb15k
from twhin_spark.kernels.gradients import LossSettings
from twhin_spark.kernels.initial_vectors import initial_vectors
from twhin_spark.kernels.losses import LOSSES
from twhin_spark.kernels.model import DirectionParameters, Edges, EntityRows, Model, RelationModel
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.training_pass import TrainSettings, train_edges

PROCESSES = 2


@dataclass(frozen=True)
class KernelSettings:
    """A loss without logQ correction, and sizes. chunk: the number of edges that share their in-batch negatives."""

    loss: str
    dim: int
    chunk: int
    uniform_negatives: int
    two_sided: bool = False
    batch_size: int = 1000
    learning_rate: float = 0.1

    def train_settings(self) -> TrainSettings:
        """Return the settings as `train_edges` takes them."""
        return TrainSettings(
            loss=LossSettings(LOSSES[self.loss](), logq=False),
            batch_size=self.batch_size,
            in_batch_negatives=self.chunk,
            uniform_negatives=self.uniform_negatives,
            entity_learning_rate=self.learning_rate,
            relation_learning_rate=self.learning_rate,
        )


def fresh_model(entities: int, relations: int, settings: KernelSettings) -> Model:
    """Return a model with first vectors as training makes them, and relations that change nothing yet."""
    vectors = initial_vectors(np.arange(entities), settings.dim, 0.01, 0)
    rows = {"entity": EntityRows(vectors, np.zeros(entities, np.float32))}

    def fresh() -> DirectionParameters:
        values = OPERATORS["translation"].initial_parameters(settings.dim)
        return DirectionParameters(values, np.zeros_like(values))

    numbered = {
        number: RelationModel("entity", "entity", "translation", 1.0, fresh(), fresh() if settings.two_sided else None)
        for number in range(relations)
    }
    return Model(rows, numbered)


def halves(edges: Edges) -> list[Edges]:
    """Deal the edges at random over the processes, in the same way on every call."""
    order = np.random.default_rng(0).permutation(len(edges.source))
    return [
        Edges(edges.source[part], edges.target[part], edges.relation[part], edges.weight[part])
        for part in np.array_split(order, PROCESSES)
    ]


def epoch_rates(settings: KernelSettings, epochs: int) -> list[float]:
    """Return the edges a second of each epoch; a first epoch is warm-up and does not count.

    An epoch lasts from the first process' start to the last process' end.
    """
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(PROCESSES)
    pipes = [spawn.Pipe(duplex=False) for _ in range(PROCESSES)]
    processes = [
        spawn.Process(target=_train, args=(rank, settings, epochs + 1, barrier, sender))
        for rank, (_, sender) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, sender in pipes:
        sender.close()  # a process that dies is then an end of file, not an endless wait
    try:
        spans = np.array([receiver.recv() for receiver, _ in pipes])  # (processes, epochs + 1, begin and end)
    except EOFError:
        raise SystemExit("a training process died; see its output above") from None
    for process in processes:
        process.join()
    seconds = spans[:, 1:, 1].max(axis=0) - spans[:, 1:, 0].min(axis=0)
    edges = len(fb15k.numbered_edges()[0].source)
    return [edges / float(epoch) for epoch in seconds]


def _train(rank: int, settings: KernelSettings, epochs: int, barrier: Any, sender: Connection) -> None:
    """Train in a process of its own and send begin and end of every epoch, by the machine's monotonic clock."""
    edges, entities, relations = fb15k.numbered_edges()
    half = halves(edges)[rank]
    model = fresh_model(entities, relations, settings)
    rng = np.random.default_rng(rank)
    spans = []
    try:
        with threadpool_limits(1):
            for _ in range(epochs):
                barrier.wait()
                begin = time.monotonic()
                done = train_edges(model, half, settings.train_settings(), rng)
                spans.append((begin, time.monotonic()))
                if done.non_finite is not None:
                    raise SystemExit(f"the loss of relation {done.non_finite} is not finite")
        sender.send(spans)
    except BrokenBarrierError:
        raise SystemExit(1) from None
    except BaseException:
        barrier.abort()
        raise
