"""Several epochs of a model that one task holds whole, without a commit between them. Runs on workers.

An epoch's random numbers come from its own number, so how many of them a task trains changes no bit.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from twhin_spark.errors import TwhinError
from twhin_spark.kernels.model import Model, RelationModel
from twhin_spark.kernels.relation_sampling import sample_edges
from twhin_spark.kernels.training_pass import TrainSettings, train_edges
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import BestEpoch
from twhin_spark.training.state.relation_state import RelationState, from_kernel, to_kernel
from twhin_spark.training.state.round_report import RoundReport, TaskUsage
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile, state_name
from twhin_spark.training.validation.early_stopping import StoppingRule
from twhin_spark.training.validation.validation_loss import Validator, measure
from twhin_spark.training.workers.partition_buffer import PartitionBuffer, edges_of
from twhin_spark.training.workers.round_task import steps_of
from twhin_spark.training.workers.task_metrics import StopWatch, peak_rss_bytes


@dataclass(frozen=True)
class SingleTaskResult:
    """What the task hands to the driver."""

    error: str | None = None  # a line for the user; all else is empty then
    exit_code: int = 0  # of the error
    diverged: str | None = None  # the relation at which a loss was not finite, in the epoch `diverged_in`
    diverged_in: int = 0
    reports: list[RoundReport] = field(default_factory=list)  # by epoch; fewer than asked for where training ended
    files: dict[int, StateFile] = field(default_factory=dict)  # by partition
    relations: dict[str, RelationState] = field(default_factory=dict)
    history: list[float] = field(default_factory=list)  # as in the manifest
    best: BestEpoch | None = None  # where it is one of these epochs

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SingleTaskResult:
        fields: dict[str, Any] = json.loads(text)
        fields["reports"] = [RoundReport.from_fields(report) for report in fields["reports"]]
        fields["files"] = {int(partition): StateFile(**file) for partition, file in fields["files"].items()}
        fields["relations"] = {name: RelationState(**state) for name, state in fields["relations"].items()}
        fields["best"] = fields["best"] and BestEpoch.from_fields(fields["best"])
        return cls(**fields)


@dataclass(frozen=True)
class SingleTask:
    """Everything that the task needs beside the edges.

    rounds: the only round of each epoch, one epoch after the other. settings: of each of them.
    files: by partition, as the epoch before committed them. claim: under which the task writes.
    history: as in the manifest.
    """

    run: RunSettings
    rounds: list[Round]
    settings: list[TrainSettings]
    files: list[StateFile]
    relations: Mapping[str, RelationState]
    claim: int
    watch: StoppingRule
    history: list[float]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """For `mapInArrow`: all rows of edge_buckets, with their `step` → one row with an SingleTaskResult."""
        filled = (batch for batch in batches if batch.num_rows)
        if (first := next(filled, None)) is not None:
            try:
                result = self.train(itertools.chain([first], filled))
            except TwhinError as error:  # raised here, it would reach the user as a trace through Spark
                result = SingleTaskResult(error=str(error), exit_code=error.exit_code)
            yield pa.RecordBatch.from_pydict({"result": [result.to_json()]})

    def train(self, batches: Iterable[pa.RecordBatch]) -> SingleTaskResult:
        """Trains the epochs. Raises InputError where a state file is damaged, TrainingError where the disk is full."""
        run, this = self.run, self.rounds[0]
        clock = StopWatch("edge", "read", "kernel", "write")
        folder = RunFolder(run.output, run.run_id)
        attempt = f"e{this.epoch:05d}-{uuid4().hex[:12]}"
        held = PartitionBuffer(
            folder, self.files, run.entity_types, this, this.walks[0], lambda p: state_name(p, self.claim, attempt)
        )
        with clock("read"):
            held.load(this.walks[0][0])
        types = {name: k for k, name in enumerate(run.entity_types)}
        with clock("edge"):
            ((_, blocks),) = steps_of(batches)
            edges = edges_of(blocks, this, held, [(types[one.source], types[one.target]) for one in run.relations])
        relations = {i: to_kernel(settings, self.relations[settings.name]) for i, settings in enumerate(run.relations)}
        model = Model(held.entities(), relations)
        held_out = None
        if (sample := folder.validation_sample()) is not None:
            compared = run.train.loss.comparator
            held_out = Validator(sample, run.relations, run.entity_types, len(self.files), run.seed, compared)
        reports: list[RoundReport] = []
        history, best = list(self.history), None
        for this, settings in zip(self.rounds, self.settings, strict=True):
            started = time.perf_counter()
            with clock("kernel"):
                seed = np.random.SeedSequence((run.seed, this.epoch, this.number, 0))
                rng = np.random.Generator(np.random.PCG64(seed))
                done = train_edges(model, sample_edges(edges, run.sampling, rng), settings, rng)
            if done.non_finite is not None:
                return SingleTaskResult(diverged=run.relations[done.non_finite].name, diverged_in=this.epoch)
            states = _states(held, model, self.files, run.entity_types)
            measured = None
            if held_out:
                measured = measure(held_out, states, self._named(relations), settings, self.watch.wants_ranks)
            if measured and self.watch.decides:
                history.append(self.watch.value(measured))
                if self.watch.keep_best and self.watch.best(history) == this.epoch:
                    with clock("write"):
                        files = [
                            folder.write_partition(state_name(partition, self.claim, f"best-{attempt}"), state)
                            for partition, state in states
                        ]
                    best = BestEpoch(this.epoch, files, self._named(relations))
            reports.append(
                RoundReport(
                    this.epoch,
                    this.number,
                    time.perf_counter() - started - (measured.seconds if measured else 0.0),
                    {run.relations[i].name: count for i, count in done.edges.items()},
                    {run.relations[i].name: loss for i, loss in done.loss.items()},
                    learning_rate=settings.entity_learning_rate,
                    relation_learning_rate=settings.relation_learning_rate,
                    held_out=measured,
                )
            )
            if self.watch.ends(history):
                break
        with clock("write"):
            held.evict()
        usage = TaskUsage(
            clock.seconds["edge"],
            clock.seconds["read"],
            clock.seconds["kernel"],
            clock.seconds["write"],
            held.read_bytes,
            held.written_bytes,
            peak_rss_bytes(),
        )
        reports[-1].tasks.append(usage)  # of all these epochs
        return SingleTaskResult(
            reports=reports, files=held.written, relations=self._named(relations), history=history, best=best
        )

    def _named(self, relations: Mapping[int, RelationModel]) -> dict[str, RelationState]:
        return {self.run.relations[i].name: from_kernel(relation) for i, relation in relations.items()}


def _states(
    held: PartitionBuffer, model: Model, files: Sequence[StateFile], types: Sequence[str]
) -> list[tuple[int, dict[str, EntityState]]]:
    """The held partitions, ascending, in the memory where they are trained."""
    states = []
    for partition, first in sorted(held.first_rows().items()):
        state = {}
        for begin, count, name in zip(first, files[partition].rows, types, strict=True):
            rows = model.entities[name]
            own = slice(begin, begin + count)
            state[name] = EntityState(rows.vectors[own], rows.accumulators[own])
        states.append((partition, state))
    return states
