"""One round: place the edges, run the tasks, merge what they return."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.errors import InputError, TrainingError, TwhinError
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import RelationState, merge
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.workers.round_task import RESULT_SCHEMA, RoundTask, RoundTaskResult

_Number = TypeVar("_Number", int, float)


def run_round(buckets: DataFrame, run: RunSettings, this: Round, before: Manifest) -> Manifest:
    """Trains one round of `edge_buckets` rows on the state of `before`; returns the state after it, to be committed.

    Raises TrainingError where a loss is not finite or a disk is full, InputError where a state file is damaged.
    """
    started = time.monotonic()
    task = RoundTask(run, this, before.partitions, before.relations, before.fence)
    rows = place(buckets, this).mapInArrow(task, RESULT_SCHEMA).collect()
    results = sorted((RoundTaskResult.from_json(row["result"]) for row in rows), key=lambda result: result.task)
    _check(results, run, this)
    files = list(before.partitions)
    for result in results:
        for partition, file in result.files.items():
            files[partition] = file
    report = RoundReport(
        this.epoch,
        this.number,
        time.monotonic() - started,
        _summed(result.edges for result in results),
        _summed(result.loss for result in results),
        [result.usage for result in results if result.usage],
        run.train.entity_learning_rate,
        run.train.relation_learning_rate,
    )
    return replace(
        before,
        epoch=this.epoch,
        round=this.number,
        partitions=files,
        relations={name: _merged(name, state, results) for name, state in before.relations.items()},
        reports=[report],
    )


def place(buckets: DataFrame, this: Round) -> DataFrame:
    """The blocks that this round trains any edge of, those of a task in a Spark partition of their own.

    Each has the `task`, and the `step` of its walk. A task's blocks are ordered by step, bucket and block.
    """
    groups = F.lit(len(this.turn_of))
    source, target = (F.get(_array(this.group_of), F.col(f"{end}_partition")) for end in ("source", "target"))
    pair = source * groups + target
    task, step = (F.get(_array(table.ravel()), pair) for table in this.places)
    placed = buckets.withColumn("task", task).withColumn("step", step).where(F.col("task") >= 0)
    order = ("step", "source_partition", "target_partition", "block")
    return placed.repartitionById(this.tasks, "task").sortWithinPartitions(*order)


def _array(numbers: Integers) -> Column:
    """A constant array. As text it is one literal, which Spark plans much faster than one for each number."""
    return F.split(F.lit(",".join(map(str, numbers.tolist()))), ",").cast("array<int>")


def _check(results: Iterable[RoundTaskResult], run: RunSettings, this: Round) -> None:
    for result in results:
        if result.error is not None:
            raise failure(result.error, result.exit_code)
        if result.diverged is not None:
            raise divergence_error(result.diverged, run.train, this)


def failure(line: str, exit_code: int) -> TwhinError:
    """The error of a task, as it was raised in a worker."""
    return InputError(line) if exit_code == InputError.exit_code else TrainingError(line)


def divergence_error(relation: str, settings: TrainSettings, this: Round) -> TrainingError:
    return TrainingError(
        f"training diverged: the loss of relation '{relation}' is not finite in epoch {this.epoch + 1}, "
        f"round {this.number + 1}, at training.learning_rate {settings.entity_learning_rate:g} and "
        f"training.relation_learning_rate {settings.relation_learning_rate:g}; lower them"
    )


def _merged(name: str, before: RelationState, results: Sequence[RoundTaskResult]) -> RelationState:
    after = [(result.edges[name], result.relations[name]) for result in results if name in result.relations]
    return merge(before, after) if after else before


def _summed(parts: Iterable[Mapping[str, _Number]]) -> dict[str, _Number]:
    total: dict[str, _Number] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total
