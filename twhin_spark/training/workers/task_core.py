"""The core of all training tasks: their memory, their relations, their clock and their results. Runs on workers."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self
from uuid import uuid4

import numpy as np
import pyarrow as pa

from twhin_spark.kernels.model import Edges, Model
from twhin_spark.tables.worker_tasks import result_batch
from twhin_spark.training.bucket_schedule import Pair, Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import relation_states
from twhin_spark.training.state.relation_state import RelationState, from_kernel, to_kernel
from twhin_spark.training.state.round_report import TaskUsage
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import StateFile, state_name
from twhin_spark.training.workers.edge_blocks import Block, edges_in_buffer
from twhin_spark.training.workers.partition_buffer import PartitionBuffer
from twhin_spark.training.workers.task_metrics import StopWatch, peak_rss_bytes


@dataclass(frozen=True)
class StartState:
    """State that a task starts from, as the round before committed it."""

    files: list[StateFile]  # by partition
    relations: Mapping[str, RelationState]
    claim: int  # the fence of the claim under which the task writes


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """Result that a task sends to the driver."""

    diverged: str | None = None  # the relation at which a loss was not finite; all else is empty then
    files: dict[int, StateFile] = field(default_factory=dict)  # by partition
    relations: dict[str, RelationState] = field(default_factory=dict)  # as the task left them

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        fields: dict[str, Any] = json.loads(text)
        files = {int(partition): StateFile(**file) for partition, file in fields["files"].items()}
        shared = {"files": files, "relations": relation_states(fields["relations"])}
        return cls(**{**fields, **shared, **cls._further_fields(fields)})

    @classmethod
    def _further_fields(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a subclass that JSON does not give as they were."""
        return {}


class TaskCore:
    """A task at work on one round: the buffer with its groups, the relations as the kernels train them, and a clock.

    The clock's parts are the seconds of TaskUsage: edge, read, kernel and write.
    """

    def __init__(self, run: RunSettings, start: StartState, training_round: Round, task: int, attempt: str) -> None:
        """Begin the task of this number. The names of its files begin with `attempt`, and end with a random number."""
        self._run, self._round, self._claim = run, training_round, start.claim
        self._attempt = f"{attempt}-{uuid4().hex[:12]}"
        self.clock = StopWatch("edge", "read", "kernel", "write")
        self.folder = RunFolder(run.output, run.run_id)
        self.buffer = PartitionBuffer(
            self.folder, start.files, run.entity_types, training_round, training_round.walks[task], self.file_name
        )
        self.relations = {
            i: to_kernel(settings, start.relations[settings.name]) for i, settings in enumerate(run.relations)
        }

    def file_name(self, partition: int, prefix: str = "") -> str:
        """Return the name of a state file that this task alone writes."""
        return state_name(partition, self._claim, f"{prefix}{self._attempt}")

    def swap_in(self, pair: Pair) -> None:
        """Write the groups that are not of the pair, then read those that are missing."""
        with self.clock("write"):
            self.buffer.evict(pair)
        with self.clock("read"):
            self.buffer.load(pair)

    def edges(self, blocks: deque[Block]) -> Edges:
        """Return the edges of some blocks that the round trains, in rows of the model; empties the deque."""
        return edges_in_buffer(blocks, self._round, self.buffer, self._run.relation_ends)

    def model(self) -> Model:
        """Return the groups in the buffer and the relations, to be trained in place."""
        return Model(self.buffer.entities(), self.relations)

    def relation_states(self) -> dict[str, RelationState]:
        """Return the relations, by name, as they are now."""
        return {self._run.relations[i].name: from_kernel(relation) for i, relation in self.relations.items()}

    def finish(self) -> TaskUsage:
        """Write the groups that are still in the buffer; return what the task used."""
        with self.clock("write"):
            self.buffer.evict()
        seconds = {f"{part}_seconds": value for part, value in self.clock.seconds.items()}
        return TaskUsage(
            **seconds,
            read_bytes=self.buffer.read_bytes,
            written_bytes=self.buffer.written_bytes,
            peak_rss_bytes=peak_rss_bytes(),
        )


def task_generator(run: RunSettings, training_round: Round, task: int) -> np.random.Generator:
    """Return the random numbers of a task, which depend on the run's seed, epoch, round and task alone."""
    seed = np.random.SeedSequence((run.seed, training_round.epoch, training_round.number, task))
    return np.random.Generator(np.random.PCG64(seed))


def run_task(
    batches: Iterable[pa.RecordBatch], train: Callable[[int, Iterable[pa.RecordBatch]], TaskResult]
) -> Iterator[pa.RecordBatch]:
    """Train the rows of one task, for `mapInArrow`.

    Parameters
    ----------
    batches
        Rows of `edge_buckets` with the columns `task` and `step`, all of one task, ordered by step.
    train
        Function of the task's number and its batches.

    Yields
    ------
    RecordBatch
        One row of `worker_tasks.RESULT_SCHEMA` with the result as JSON; none if there are no rows.
    """
    filled = (batch for batch in batches if batch.num_rows)
    if (first := next(filled, None)) is not None:
        task = first["task"][0].as_py()
        yield result_batch(lambda: train(task, itertools.chain([first], filled)).to_json().encode())
