"""One round: place the edges, run the tasks, merge what they return, commit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.errors import InputError, TrainingError
from twhin_spark.kernels.arrays import Integers
from twhin_spark.training.relations import RelationState, merge
from twhin_spark.training.schedule import Round
from twhin_spark.training.state import Manifest, RoundReport, RunFolder
from twhin_spark.training.task import RESULT_SCHEMA, RoundTask, RunSettings, TaskResult

_Number = TypeVar("_Number", int, float)


def run_round(
    buckets: DataFrame, folder: RunFolder, run: RunSettings, this: Round, before: Manifest, *, last: bool
) -> tuple[Manifest, RoundReport]:
    """Trains one round of `edge_buckets` rows on the state of `before`, and commits it.

    Raises TrainingError where a task's loss is not finite, InputError where a state file is damaged.
    """
    started = time.monotonic()
    task = RoundTask(run, this, before.partitions, before.relations)
    order = ("step", "source_partition", "target_partition", "block")
    placed = place(buckets, this).repartitionById(this.tasks, "task").sortWithinPartitions(*order)
    rows = placed.mapInArrow(task, RESULT_SCHEMA).collect()
    results = sorted((TaskResult.from_json(row["result"]) for row in rows), key=lambda result: result.task)
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
    )
    manifest = replace(
        before,
        epoch=this.epoch,
        round=this.number,
        complete=last,
        partitions=files,
        relations={name: _merged(name, state, results) for name, state in before.relations.items()},
        report=report,
    )
    folder.commit(manifest)
    return manifest, report


def place(buckets: DataFrame, this: Round) -> DataFrame:
    """The blocks that this round trains any edge of, with the `task` that does, and the `step` of its walk."""
    groups = F.lit(len(this.turn_of))
    source, target = (F.get(_array(this.group_of), F.col(f"{end}_partition")) for end in ("source", "target"))
    pair = source * groups + target
    task, step = (F.get(_array(table.ravel()), pair) for table in this.places)
    return buckets.withColumn("task", task).withColumn("step", step).where(F.col("task") >= 0)


def _array(numbers: Integers) -> Column:
    """A constant array. As text it is one literal, which Spark plans much faster than one for each number."""
    return F.split(F.lit(",".join(map(str, numbers.tolist()))), ",").cast("array<int>")


def _check(results: Iterable[TaskResult], run: RunSettings, this: Round) -> None:
    for result in results:
        if result.error is not None:
            raise InputError(result.error)
        if result.diverged is not None:
            raise TrainingError(
                f"training diverged: the loss of relation '{result.diverged}' is not finite in epoch {this.epoch + 1}, "
                f"round {this.number + 1}, at training.learning_rate {run.train.entity_learning_rate:g} and "
                f"training.relation_learning_rate {run.train.relation_learning_rate:g}; lower them"
            )


def _merged(name: str, before: RelationState, results: Sequence[TaskResult]) -> RelationState:
    after = [(result.edges[name], result.relations[name]) for result in results if name in result.relations]
    return merge(before, after) if after else before


def _summed(parts: Iterable[Mapping[str, _Number]]) -> dict[str, _Number]:
    total: dict[str, _Number] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total
