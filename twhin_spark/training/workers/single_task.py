"""A task that holds the whole model and trains several epochs without a commit between them. Runs on workers.

The random numbers of an epoch depend on its number, so the number of epochs that a task trains changes no bit.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import pyarrow as pa

from twhin_spark.kernels.relation_sampling import sample_edges
from twhin_spark.kernels.training_pass import PassResult, TrainSettings, train_edges
from twhin_spark.tables.worker_tasks import result_batch
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import BestEpoch, relation_states
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.state.state_files import StateFile, state_files
from twhin_spark.training.validation.early_stopping import StoppingRule
from twhin_spark.training.validation.validator import Validator
from twhin_spark.training.workers.edge_blocks import blocks_by_position
from twhin_spark.training.workers.task_core import StartState, TaskCore, task_generator


@dataclass(frozen=True, kw_only=True)
class SingleTaskResult:
    """Result of the task.

    Attributes
    ----------
    diverged, diverged_in
        The relation at which a loss was not finite, and the epoch; all else is empty then.
    reports
        By epoch; fewer than the rounds if training ended early.
    files, relations
        The model, by partition and by relation.
    history, best
        As in the manifest; `best` if it is one of these epochs.
    """

    diverged: str | None = None
    diverged_in: int = 0
    reports: list[RoundReport] = field(default_factory=list)
    files: dict[int, StateFile] = field(default_factory=dict)
    relations: dict[str, RelationState] = field(default_factory=dict)
    history: list[float] = field(default_factory=list)
    best: BestEpoch | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        fields: dict[str, Any] = json.loads(text)
        return cls(
            **{
                **fields,
                "reports": [RoundReport.from_fields(report) for report in fields["reports"]],
                "files": state_files(fields["files"]),
                "relations": relation_states(fields["relations"]),
                "best": fields["best"] and BestEpoch.from_fields(fields["best"]),
            }
        )


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
    threads: int = 1

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Train all rows of `edge_buckets`, for `mapInArrow`; yield a row with a SingleTaskResult, see `result_batch`.

        Without a row there is no result.
        """
        filled = (batch for batch in batches if batch.num_rows)
        if (first := next(filled, None)) is not None:
            yield result_batch(lambda: self.train(itertools.chain([first], filled)).to_json().encode())

    def train(self, batches: Iterable[pa.RecordBatch]) -> SingleTaskResult:
        """Train the epochs.

        Raises InputError if a state file is damaged, TrainingError if the disk is full.
        """
        run, first = self.run, self.rounds[0]
        core = TaskCore(run, self.start, first, self.threads)
        core.buffer.make_room([0], [])
        with core.clock("read"):
            core.buffer.settle(0)
        with core.clock("edge"):
            ((_, blocks),) = blocks_by_position(batches)
            edges = core.edges(blocks)
        model, validator = core.model(), Validator.of_run(run, len(self.start.files))
        reports: list[RoundReport] = []
        history, best = list(self.history), None
        for training_round, settings in zip(self.rounds, self.settings, strict=True):
            started = time.perf_counter()
            with core.clock("kernel"):
                rng = task_generator(run, training_round, 0)
                trained = train_edges(model, sample_edges(edges, run.sampling, rng), settings, rng, self.threads)
            if trained.non_finite is not None:
                relation = run.relations[trained.non_finite].name
                return SingleTaskResult(diverged=relation, diverged_in=training_round.epoch)
            core.pull_to_anchor()
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
        with core.clock("write"):
            core.buffer.write_all()
        reports[-1].tasks.append(core.take_usage())  # of all these epochs
        return SingleTaskResult(
            reports=reports,
            files=core.buffer.take_written(),
            relations=core.relation_states(),
            history=history,
            best=best,
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
