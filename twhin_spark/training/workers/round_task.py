"""The body of one training task: walk pairs of groups, read each, train the edges between, write it anew.

Runs on workers. A task returns one small row; the vectors never pass through Spark.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from twhin_spark.errors import TwhinError
from twhin_spark.graph.packing import DTYPES
from twhin_spark.kernels.model import Model
from twhin_spark.kernels.relation_sampling import sample_edges
from twhin_spark.kernels.training_pass import train_edges
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.relation_state import RelationState, from_kernel, to_kernel
from twhin_spark.training.state.round_report import TaskUsage
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import StateFile, state_name
from twhin_spark.training.workers.partition_buffer import Block, PartitionBuffer, edges_of
from twhin_spark.training.workers.task_metrics import StopWatch, peak_rss_bytes

RESULT_SCHEMA = "result STRING"


@dataclass(frozen=True)
class RoundTaskResult:
    """What a task hands to the driver: losses summed over edges, relations as the task left them."""

    task: int
    error: str | None = None  # a line for the user; all else is empty then
    exit_code: int = 0  # of the error
    diverged: str | None = None  # the relation at which a loss was not finite; all else is empty then
    files: dict[int, StateFile] = field(default_factory=dict)  # by partition
    edges: dict[str, int] = field(default_factory=dict)  # by relation, like the others
    loss: dict[str, float] = field(default_factory=dict)
    relations: dict[str, RelationState] = field(default_factory=dict)
    usage: TaskUsage | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RoundTaskResult:
        fields: dict[str, Any] = json.loads(text)
        fields["files"] = {int(partition): StateFile(**file) for partition, file in fields["files"].items()}
        fields["relations"] = {name: RelationState(**state) for name, state in fields["relations"].items()}
        fields["usage"] = fields["usage"] and TaskUsage(**fields["usage"])
        return cls(**fields)


@dataclass(frozen=True)
class RoundTask:
    """Everything that the tasks of one round need beside their edges."""

    run: RunSettings
    this: Round
    files: list[StateFile]  # by partition, as the round before committed them
    relations: Mapping[str, RelationState]
    claim: int  # under which the task writes

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """For `mapInArrow`: rows of edge_buckets with `task` and `step`, by step → a row with a RoundTaskResult."""
        filled = (batch for batch in batches if batch.num_rows)
        first = next(filled, None)
        if first is not None:
            task = first["task"][0].as_py()
            try:
                result = self.train(task, itertools.chain([first], filled))
            except TwhinError as error:  # raised here, it would reach the user as a trace through Spark
                result = RoundTaskResult(task, error=str(error), exit_code=error.exit_code)
            yield pa.RecordBatch.from_pydict({"result": [result.to_json()]})

    def train(self, task: int, batches: Iterable[pa.RecordBatch]) -> RoundTaskResult:
        """Trains this round's share of the blocks, step by step. Raises InputError where a state file is damaged."""
        run, walk = self.run, self.this.walks[task]
        watch = StopWatch("edge", "read", "kernel", "write")
        attempt = f"e{self.this.epoch:05d}-r{self.this.number:05d}-{uuid4().hex[:12]}"
        folder = RunFolder(run.output, run.run_id)
        held = PartitionBuffer(
            folder, self.files, run.entity_types, self.this, walk, lambda p: state_name(p, self.claim, attempt)
        )
        relations = {i: to_kernel(settings, self.relations[settings.name]) for i, settings in enumerate(run.relations)}
        types = {name: k for k, name in enumerate(run.entity_types)}
        ends = [(types[relation.source], types[relation.target]) for relation in run.relations]
        seed = np.random.SeedSequence((run.seed, self.this.epoch, self.this.number, task))
        rng = np.random.Generator(np.random.PCG64(seed))
        counts: dict[int, int] = {}
        losses: dict[int, float] = {}
        for step, blocks in watch.each("edge", steps_of(batches)):
            with watch("write"):
                held.evict(walk[step])
            with watch("read"):
                held.load(walk[step])
            with watch("edge"):
                edges = sample_edges(edges_of(blocks, self.this, held, ends), run.sampling, rng)
                pa.default_memory_pool().release_unused()  # what the blocks took
            with watch("kernel"):
                done = train_edges(Model(held.entities(), relations), edges, run.train, rng)
            del edges  # before the next step's are unpacked
            if done.non_finite is not None:
                return RoundTaskResult(task, diverged=run.relations[done.non_finite].name)
            for i, count in done.edges.items():
                counts[i] = counts.get(i, 0) + count
                losses[i] = losses.get(i, 0.0) + done.loss[i]
        with watch("write"):
            held.evict()
        names = [relation.name for relation in run.relations]
        return RoundTaskResult(
            task,
            files=held.written,
            edges={names[i]: count for i, count in counts.items()},
            loss={names[i]: loss for i, loss in losses.items()},
            relations={names[i]: from_kernel(relations[i]) for i in counts},
            usage=TaskUsage(
                watch.seconds["edge"],
                watch.seconds["read"],
                watch.seconds["kernel"],
                watch.seconds["write"],
                held.read_bytes,
                held.written_bytes,
                peak_rss_bytes(),
            ),
        )


def steps_of(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, deque[Block]]]:
    """The blocks of one step after the other, as views of the batches."""
    for step, blocks in itertools.groupby(_blocks(batches), key=lambda numbered: numbered[0]):
        yield step, deque(block for _, block in blocks)


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Block]]:
    for batch in batches:
        for k in range(batch.num_rows):
            step, source_partition, target_partition = (
                batch[name][k].as_py() for name in ("step", "source_partition", "target_partition")
            )
            arrays = {name: np.frombuffer(batch[name][k].as_buffer(), dtype) for name, dtype in DTYPES.items()}
            yield step, Block(source_partition, target_partition, **arrays)
