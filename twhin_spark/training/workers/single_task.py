"""A task that holds the whole model and trains several epochs without a commit between them. Runs on workers.

The random numbers of an epoch depend on its number, so the number of epochs that a task trains changes no bit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from twhin_spark.kernels.relation_sampling import sample_edges
from twhin_spark.kernels.training_pass import PassResult, TrainSettings, train_edges
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import BestEpoch
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.validation.early_stopping import StoppingRule
from twhin_spark.training.validation.validator import Validator
from twhin_spark.training.workers.edge_blocks import blocks_by_step
from twhin_spark.training.workers.task_core import StartState, TaskCore, TaskResult, run_task, task_generator


@dataclass(frozen=True, kw_only=True)
class SingleTaskResult(TaskResult):
    """Result of the task. If a loss was not finite, `diverged_in` is the epoch."""

    diverged_in: int = 0
    reports: list[RoundReport] = field(default_factory=list)  # by epoch; fewer than the rounds if training ended early
    history: list[float] = field(default_factory=list)  # as in the manifest
    best: BestEpoch | None = None  # if it is one of these epochs

    @classmethod
    def _further_fields(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "reports": [RoundReport.from_fields(report) for report in fields["reports"]],
            "best": fields["best"] and BestEpoch.from_fields(fields["best"]),
        }


@dataclass(frozen=True)
class SingleTask:
    """All that the task needs beside the edges.

    rounds: the only round of each epoch, by epoch. settings: of each of them. history: as in the manifest.
    """

    run: RunSettings
    rounds: list[Round]
    settings: list[TrainSettings]
    start: StartState
    stopping_rule: StoppingRule
    history: list[float]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Train all rows of `edge_buckets`, for `mapInArrow`; yield a row with a SingleTaskResult, see `run_task`."""
        return run_task(batches, lambda _, rows: self.train(rows))

    def train(self, batches: Iterable[pa.RecordBatch]) -> SingleTaskResult:
        """Train the epochs.

        Raises InputError if a state file is damaged, TrainingError if the disk is full.
        """
        run, first = self.run, self.rounds[0]
        core = TaskCore(run, self.start, first, 0, f"e{first.epoch:05d}")
        core.swap_in(first.walks[0][0])
        with core.clock("edge"):
            ((_, blocks),) = blocks_by_step(batches)
            edges = core.edges(blocks)
        model, validator = core.model(), Validator.of_run(run, len(self.start.files))
        reports: list[RoundReport] = []
        history, best = list(self.history), None
        for training_round, settings in zip(self.rounds, self.settings, strict=True):
            started = time.perf_counter()
            with core.clock("kernel"):
                rng = task_generator(run, training_round, 0)
                trained = train_edges(model, sample_edges(edges, run.sampling, rng), settings, rng)
            if trained.non_finite is not None:
                relation = run.relations[trained.non_finite].name
                return SingleTaskResult(diverged=relation, diverged_in=training_round.epoch)
            validation = None
            if validator:
                ranks = self.stopping_rule.needs_ranks
                validation = validator.validate(core.buffer.states(), core.relation_states(), settings, ranks)
                if self.stopping_rule.decides:
                    history.append(self.stopping_rule.value(validation))
                    if self.stopping_rule.keeps_last(history):
                        best = _write_best(core, training_round.epoch)
            seconds = time.perf_counter() - started - (validation.seconds if validation else 0.0)
            report = self._report(training_round, settings, trained, seconds)
            reports.append(replace(report, held_out=validation))
            if self.stopping_rule.ends(history):
                break
        reports[-1].tasks.append(core.finish())  # what all these epochs used
        return SingleTaskResult(
            reports=reports, files=core.buffer.written, relations=core.relation_states(), history=history, best=best
        )

    def _report(
        self, training_round: Round, settings: TrainSettings, trained: PassResult, seconds: float
    ) -> RoundReport:
        names = [relation.name for relation in self.run.relations]
        return RoundReport(
            training_round.epoch,
            training_round.number,
            seconds,
            {names[i]: count for i, count in trained.edges.items()},
            {names[i]: loss for i, loss in trained.loss.items()},
            learning_rate=settings.entity_learning_rate,
            relation_learning_rate=settings.relation_learning_rate,
        )


def _write_best(core: TaskCore, epoch: int) -> BestEpoch:
    """Write the model as it is now to files of its own."""
    with core.clock("write"):
        files = [
            core.folder.write_partition(core.file_name(partition, "best-"), state)
            for partition, state in core.buffer.states()
        ]
    return BestEpoch(epoch, files, core.relation_states())
