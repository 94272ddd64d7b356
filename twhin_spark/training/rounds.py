"""Rounds on the driver: assign the edges to the lanes of a relay, run the lanes, merge their results."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import TypeVar

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.errors import TrainingError
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.tables.worker_tasks import RESULT_SCHEMA, collect_results
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.execution import Execution
from twhin_spark.training.relay import Relay
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.workers.lane_task import LaneResult, LaneTask
from twhin_spark.training.workers.pair_result import PairResult, relations_after
from twhin_spark.training.workers.task_core import StartState

_Number = TypeVar("_Number", int, float)


def run_rounds(buckets: DataFrame, run: RunSettings, relay: Relay, before: Manifest, execution: Execution) -> Manifest:
    """Train the rounds of a relay.

    Parameters
    ----------
    buckets
        Rows of `edge_buckets`.
    run
        The settings of the run.
    relay
        The rounds.
    before
        The state to begin with.
    execution
        Threads and resources of each lane.

    Returns
    -------
    Manifest
        The state after the last round, to be committed.

    Raises
    ------
    TrainingError
        A loss is not finite, or a disk is full.
    InputError
        A state file is damaged.
    """
    started = time.monotonic()
    task = LaneTask(run, relay, start_state(before), execution.threads)
    # Lanes that exchange messages must run at the same time, which is what Spark's barrier mode is for.
    assigned = assign_blocks(buckets, relay)
    rows = assigned.mapInArrow(task, RESULT_SCHEMA, barrier=relay.exchanges, profile=execution.profile)
    results = [LaneResult.from_json(result) for result in collect_results(rows)]
    after = merged(before, relay, results)
    # A round takes as long as its slowest task; the rest of the wall time is divided among the rounds in proportion.
    share = (time.monotonic() - started) / max(sum(report.seconds for report in after.reports), 1e-9)
    return replace(after, reports=[replace(report, seconds=report.seconds * share) for report in after.reports])


def merged(before: Manifest, relay: Relay, results: Sequence[LaneResult]) -> Manifest:
    """Return the state after a relay, given that before and the results of all lanes.

    Raises TrainingError if a loss was not finite. The seconds of the reports are those of the slowest task.
    """
    relations, reports = before.relations, []
    for number, (training_round, settings) in enumerate(zip(relay.rounds, relay.settings, strict=True)):
        pairs = [pair for result in results for pair in result.pairs if pair.number == number]
        for pair in pairs:
            if pair.diverged is not None:
                raise divergence_error(pair.diverged, settings, training_round)
        relations = relations_after(relations, pairs)
        reports.append(_report(training_round, settings, pairs))
    files = list(before.partitions)
    for written in zip_longest(*(result.files for result in results), fillvalue={}):
        for partition, file in chain.from_iterable(of_lane.items() for of_lane in written):
            files[partition] = file
    last = relay.rounds[-1]
    return replace(
        before,
        epoch=last.epoch,
        round=last.number,
        partitions=files,
        relations=relations,
        reports=reports,
    )


def start_state(manifest: Manifest) -> StartState:
    """Return the state that tasks start from after a committed round."""
    return StartState(manifest.partitions, manifest.relations, manifest.fence, manifest.anchors)


def assign_blocks(buckets: DataFrame, relay: Relay) -> DataFrame:
    """Return the blocks that a relay trains, those of each lane in a Spark partition of their own.

    The column `position` says where a lane trains a block, see `Relay.position`. The blocks of a lane are ordered by
    position, bucket and block.
    """
    slices, slice_of = relay.rounds[0].slices, _array(relay.rounds[0].slice_of)
    source, target = (F.get(slice_of, F.col(f"{end}_partition")) for end in ("source", "target"))
    ends = {"source_group": F.floor(source / slices), "target_group": F.floor(target / slices)}
    # Of the places of two groups, `begin` is that of step 0, and the visitor's slice is the step.
    step = F.when(F.col("visited"), F.when(F.col("by_source"), source % slices).otherwise(target % slices) + 1)
    places = buckets.sparkSession.createDataFrame(_places(relay))
    assigned = buckets.withColumns(ends).join(F.broadcast(places), list(ends))
    assigned = assigned.withColumn("position", F.col("begin") + F.coalesce(step, F.lit(0)))
    order = ("position", "source_partition", "target_partition", "block")
    columns = [*buckets.columns, "position"]
    return assigned.repartitionById(relay.width, "lane").sortWithinPartitions(*order).select(*columns)


def _places(relay: Relay) -> pa.Table:
    """Return a row for each two groups between which the relay trains edges, in this order, or inside which it does."""
    rows = []
    for number, training_round in enumerate(relay.rounds):
        for task, seat in enumerate(training_round.seats):
            place = task % relay.width, relay.position(number, task, 0)
            if seat.inner:
                rows.append((seat.resident, seat.resident, *place, False, False))
            if seat.visitor is not None:
                rows.append((seat.resident, seat.visitor, *place, True, False))
                rows.append((seat.visitor, seat.resident, *place, True, True))
    names = ("source_group", "target_group", "lane", "begin", "visited", "by_source")
    types = (pa.int64(), pa.int64(), pa.int32(), pa.int64(), pa.bool_(), pa.bool_())
    columns = zip(*rows, strict=True)
    return pa.table({name: pa.array(c, kind) for name, c, kind in zip(names, columns, types, strict=True)})


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


def _report(training_round: Round, settings: TrainSettings, pairs: list[PairResult]) -> RoundReport:
    """Report a round, with the seconds of its slowest task."""
    usage = [pair.usage for pair in pairs if pair.usage]
    return RoundReport(
        training_round.epoch,
        training_round.number,
        max((task.seconds for task in usage), default=0.0),
        _summed(pair.edges for pair in pairs),
        _summed(pair.loss for pair in pairs),
        usage,
        settings.entity_learning_rate,
        settings.relation_learning_rate,
    )


def _summed(parts: Iterable[Mapping[str, _Number]]) -> dict[str, _Number]:
    total: dict[str, _Number] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total
