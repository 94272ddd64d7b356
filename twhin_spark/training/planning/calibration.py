"""Calibration: the speed at which this machine trains edges and moves state, measured in two seconds."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from uuid import uuid4

import numpy as np

from twhin_spark.kernels.model import Edges, EntityRows, Model
from twhin_spark.kernels.training_pass import TrainSettings, train_edges
from twhin_spark.training.planning.costs import Speed
from twhin_spark.training.state.relation_state import RelationSettings, initial_state, to_kernel
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState

_SECONDS = 1.0
_MOST_BYTES = 128_000_000  # of vectors: more than any cache holds
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def measure_speed(
    settings: TrainSettings,
    relation: RelationSettings,
    *,
    dim: int,
    entities: int,
    output: str,
    slots: int,
    edge_seconds: float | None = None,
) -> Speed:
    """Measure the speed of one slot, by the code of training, while other slots run as well.

    Parameters
    ----------
    settings, relation, dim
        The training whose edges are timed.
    entities
        The number of entities that a task holds.
    output
        The output of the run. A file is written there, read, and deleted.
    slots
        The number of slots; as many run at the same time as this machine has cores for.
    edge_seconds
        The seconds of the kernels for an edge; None measures them.
    """
    rows = max(min(entities, _MOST_BYTES // (4 * dim)), 2)
    processes = min(slots, os.cpu_count() or 1)
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))  # BLAS reads it when the processes import numpy
    try:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            arguments = (settings, relation, dim, rows, output, edge_seconds)
            speeds = [job.result() for job in [pool.submit(_measure, *arguments) for _ in range(processes)]]
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return Speed(float(np.mean([speed.edge_seconds for speed in speeds])), min(speed.state_bytes for speed in speeds))


def _measure(
    settings: TrainSettings, relation: RelationSettings, dim: int, rows: int, output: str, edge_seconds: float | None
) -> Speed:
    """Measure in a process of its own, whose BLAS runs one thread."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((rows, dim), dtype=np.float32)
    state = EntityState(vectors, np.ones(rows, np.float32))
    folder = RunFolder(output, f"speed-{uuid4().hex[:12]}")
    try:
        moves = []
        for _ in range(3):
            started = time.perf_counter()
            file = folder.write_partition("speed", {"": state})
            folder.read_into({"": state}, file)
            moves.append(2 * file.bytes / (time.perf_counter() - started))
    finally:
        folder.delete()
    if edge_seconds is not None:
        return Speed(edge_seconds, float(np.median(moves)))
    relations = {0: to_kernel(relation, initial_state(relation, dim))}
    types = dict.fromkeys((relation.source, relation.target), EntityRows(vectors, state.accumulators))
    count = settings.batch_size * 8
    source, target = rng.integers(rows, size=(2, count), dtype=np.int32)
    edges = Edges(source, target, np.zeros(count, np.int16), np.ones(count, np.float32))
    train_edges(Model(types, relations), edges, settings, rng)  # the first pass makes the arrays
    passes, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < _SECONDS:
        train_edges(Model(types, relations), edges, settings, rng)
        passes += 1
    return Speed(taken / (passes * count), float(np.median(moves)))
