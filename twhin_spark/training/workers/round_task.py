"""A task of one round: it walks pairs of groups, and reads, trains and writes each. Runs on workers.

The task returns one small row; vectors never pass through Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from twhin_spark.kernels.relation_sampling import sample_edges
from twhin_spark.kernels.training_pass import train_edges
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.round_report import TaskUsage
from twhin_spark.training.workers.edge_blocks import blocks_by_step
from twhin_spark.training.workers.task_core import StartState, TaskCore, TaskResult, run_task, task_generator


@dataclass(frozen=True, kw_only=True)
class RoundTaskResult(TaskResult):
    """Result of a task: edges trained and their summed loss, by relation. It has the relations that it trained."""

    task: int
    edges: dict[str, int] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    usage: TaskUsage | None = None

    @classmethod
    def _further_fields(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"usage": fields["usage"] and TaskUsage(**fields["usage"])}


@dataclass(frozen=True)
class RoundTask:
    """All that the tasks of one round need beside their edges."""

    run: RunSettings
    training_round: Round
    start: StartState

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Train the rows of one task, for `mapInArrow`; yield a row with a RoundTaskResult, see `run_task`."""
        return run_task(batches, self.train)

    def train(self, task: int, batches: Iterable[pa.RecordBatch]) -> RoundTaskResult:
        """Train this round's edges of the blocks, step by step.

        Raises InputError if a state file is damaged, TrainingError if the disk is full.
        """
        run, walk = self.run, self.training_round.walks[task]
        attempt = f"e{self.training_round.epoch:05d}-r{self.training_round.number:05d}"
        core = TaskCore(run, self.start, self.training_round, task, attempt)
        rng = task_generator(run, self.training_round, task)
        counts: dict[str, int] = {}
        losses: dict[str, float] = {}
        for step, blocks in core.clock.each("edge", blocks_by_step(batches)):
            core.swap_in(walk[step])
            with core.clock("edge"):
                edges = sample_edges(core.edges(blocks), run.sampling, rng)
                pa.default_memory_pool().release_unused()  # what the blocks took
            with core.clock("kernel"):
                trained = train_edges(core.model(), edges, run.train, rng)
            del edges  # before the next step's are unpacked
            if trained.non_finite is not None:
                return RoundTaskResult(task=task, diverged=run.relations[trained.non_finite].name)
            for i, count in trained.edges.items():
                name = run.relations[i].name
                counts[name] = counts.get(name, 0) + count
                losses[name] = losses.get(name, 0.0) + trained.loss[i]
        usage = core.finish()
        relations = core.relation_states()
        return RoundTaskResult(
            task=task,
            files=core.buffer.written,
            edges=counts,
            loss=losses,
            relations={name: relations[name] for name in counts},
            usage=usage,
        )
