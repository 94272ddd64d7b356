"""One round on the driver: assign the edges to tasks, run the tasks, merge their results."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.errors import TrainingError
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.tables.worker_tasks import RESULT_SCHEMA, collect_results
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import RelationState, merge
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.workers.round_task import RoundTask, RoundTaskResult
from twhin_spark.training.workers.task_core import StartState

_Number = TypeVar("_Number", int, float)


def run_round(buckets: DataFrame, run: RunSettings, training_round: Round, before: Manifest) -> Manifest:
    """Train one round.

    Parameters
    ----------
    buckets
        Rows of `edge_buckets`.
    run
        The settings of the run and, in `train`, the learning rates of the round.
    training_round
        The round.
    before
        The state to begin with.

    Returns
    -------
    Manifest
        The state after the round, to be committed.

    Raises
    ------
    TrainingError
        A loss is not finite, or a disk is full.
    InputError
        A state file is damaged.
    """
    started = time.monotonic()
    task = RoundTask(run, training_round, start_state(before))
    rows = assign_blocks(buckets, training_round).mapInArrow(task, RESULT_SCHEMA)
    results = sorted(map(RoundTaskResult.from_json, collect_results(rows)), key=lambda result: result.task)
    for result in results:
        if result.diverged is not None:
            raise divergence_error(result.diverged, run.train, training_round)
    files = list(before.partitions)
    for result in results:
        for partition, file in result.files.items():
            files[partition] = file
    report = RoundReport(
        training_round.epoch,
        training_round.number,
        time.monotonic() - started,
        _summed(result.edges for result in results),
        _summed(result.loss for result in results),
        [result.usage for result in results if result.usage],
        run.train.entity_learning_rate,
        run.train.relation_learning_rate,
    )
    return replace(
        before,
        epoch=training_round.epoch,
        round=training_round.number,
        partitions=files,
        relations={name: _merged(name, state, results) for name, state in before.relations.items()},
        reports=[report],
    )


def start_state(manifest: Manifest) -> StartState:
    """Return the state that tasks start from after a committed round."""
    return StartState(manifest.partitions, manifest.relations, manifest.fence)


def assign_blocks(buckets: DataFrame, training_round: Round) -> DataFrame:
    """Return the blocks of which a round trains any edge, those of each task in a Spark partition of their own.

    The column `task` is the task's number, and `step` the step of its walk. The blocks of a task are ordered by step,
    bucket and block.
    """
    groups = F.lit(len(training_round.turn_of))
    source, target = (F.get(_array(training_round.group_of), F.col(f"{end}_partition")) for end in ("source", "target"))
    pair = source * groups + target
    task, step = (F.get(_array(table.ravel()), pair) for table in training_round.steps)
    assigned = buckets.withColumn("task", task).withColumn("step", step).where(F.col("task") >= 0)
    order = ("step", "source_partition", "target_partition", "block")
    return assigned.repartitionById(training_round.tasks, "task").sortWithinPartitions(*order)


def _array(numbers: Integers) -> Column:
    """Return a constant array. As text it is one literal, which Spark plans much faster than one for each number."""
    return F.split(F.lit(",".join(map(str, numbers.tolist()))), ",").cast("array<int>")


def divergence_error(relation: str, settings: TrainSettings, training_round: Round) -> TrainingError:
    """Return the error of a relation with a loss that is not finite."""
    return TrainingError(
        f"training diverged: the loss of relation '{relation}' is not finite in epoch {training_round.epoch + 1}, "
        f"round {training_round.number + 1}, at training.learning_rate {settings.entity_learning_rate:g} and "
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
