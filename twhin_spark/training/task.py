"""The body of one training task: read two groups' partitions, train their edges, write the partitions anew.

Runs on workers. A task returns one small row; the vectors never pass through Spark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from twhin_spark.errors import TwhinError
from twhin_spark.kernels.model import Model
from twhin_spark.kernels.train import TrainSettings, train_edges
from twhin_spark.training.loading import LoadedPartitions, edges_of
from twhin_spark.training.relations import RelationSettings, RelationState, from_kernel, to_kernel
from twhin_spark.training.schedule import Round
from twhin_spark.training.state import RunFolder, StateFile

RESULT_SCHEMA = "result STRING"


@dataclass(frozen=True)
class RunSettings:
    """What does not change during a run."""

    output: str
    run_id: str
    seed: int
    entity_types: tuple[str, ...]
    relations: tuple[RelationSettings, ...]  # by index
    train: TrainSettings


@dataclass(frozen=True)
class TaskResult:
    """What a task hands to the driver: losses summed over edges, relations as the task left them."""

    task: int
    error: str | None = None  # a line for the user; all else is empty then
    diverged: str | None = None  # the relation at which a loss was not finite; all else is empty then
    files: dict[int, StateFile] = field(default_factory=dict)  # by partition
    edges: dict[str, int] = field(default_factory=dict)  # by relation, like the others
    loss: dict[str, float] = field(default_factory=dict)
    relations: dict[str, RelationState] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TaskResult:
        fields: dict[str, Any] = json.loads(text)
        fields["files"] = {int(partition): StateFile(**file) for partition, file in fields["files"].items()}
        fields["relations"] = {name: RelationState(**state) for name, state in fields["relations"].items()}
        return cls(**fields)


@dataclass(frozen=True)
class RoundTask:
    """Everything that the tasks of one round need beside their edges."""

    run: RunSettings
    this: Round
    files: list[StateFile]  # by partition, as the round before committed them
    relations: Mapping[str, RelationState]

    def __call__(self, blocks: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """For `mapInArrow`: rows of edge_buckets with their `task` → one row with its TaskResult."""
        batches = [batch for batch in blocks if batch.num_rows]
        if batches:
            task = batches[0]["task"][0].as_py()
            try:
                result = self.train(task, batches)
            except TwhinError as error:  # raised here, it would reach the user as a trace through Spark
                result = TaskResult(task, error=str(error))
            yield pa.RecordBatch.from_pydict({"result": [result.to_json()]})

    def train(self, task: int, blocks: Iterable[pa.RecordBatch]) -> TaskResult:
        """Trains this round's share of the blocks. Raises InputError where a state file is damaged."""
        run, this = self.run, self.this
        folder = RunFolder(run.output, run.run_id)
        loaded = LoadedPartitions.read(folder, this.partitions_of(task), self.files, run.entity_types)
        edges = edges_of(blocks, this, loaded, [(relation.source, relation.target) for relation in run.relations])
        relations = {i: to_kernel(settings, self.relations[settings.name]) for i, settings in enumerate(run.relations)}
        seed = np.random.SeedSequence((run.seed, this.epoch, this.number, task))
        rng = np.random.Generator(np.random.PCG64(seed))
        done = train_edges(Model(loaded.entities, relations), edges, run.train, rng)
        if done.non_finite is not None:
            return TaskResult(task, diverged=run.relations[done.non_finite].name)
        names = [relation.name for relation in run.relations]
        return TaskResult(
            task,
            files=loaded.write(folder, f"e{this.epoch:05d}-r{this.number:05d}-{uuid4().hex[:12]}"),
            edges={names[i]: count for i, count in done.edges.items()},
            loss={names[i]: loss for i, loss in done.loss.items()},
            relations={names[i]: from_kernel(relations[i]) for i in done.edges},
        )
