"""Measures a committed model whose partitions no single task may hold, from its files, in Spark tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from twhin_spark.errors import TwhinError
from twhin_spark.training.rounds import failure
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.round_report import ValidationResult
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile
from twhin_spark.training.validation.validation_loss import ValidationQueries, Validator

_ANSWER = "answer BINARY, error STRING, exit_code INT"


def validate_files(
    spark: SparkSession, run: RunSettings, held_out: Validator, manifest: Manifest, ranks: bool
) -> ValidationResult:
    """The figures of held_out.py. One task gathers what the loss needs; ranks take a pass of all tasks.

    Raises InputError where a state file is damaged.
    """
    started = time.perf_counter()
    files = _Files(run, manifest.partitions)

    def gather(_: Sequence[int]) -> bytes:
        """Runs on one worker: reads one partition after the other."""
        excerpt = held_out.excerpt(files.states(range(len(files.files))))
        loss = held_out.loss(excerpt, manifest.relations, run.train)
        asked = held_out.ask(excerpt, manifest.relations) if ranks else ValidationQueries(np.empty((0, 0)), np.empty(0))
        shape = np.array(asked.vectors.shape, "<i8").tobytes()
        arrays = asked.vectors.astype("<f4").tobytes() + asked.scores.astype("<f8").tobytes()
        return json.dumps(loss).encode() + b"\n" + shape + arrays

    (answer,) = _ask(spark, gather, partitions=1, tasks=1)
    line, _, rest = answer.partition(b"\n")
    rows, dim = np.frombuffer(rest[:16], "<i8").tolist()
    vectors = np.frombuffer(rest[16 : 16 + 4 * rows * dim], "<f4").reshape(rows, dim)
    asked = ValidationQueries(vectors, np.frombuffer(rest[16 + 4 * rows * dim :], "<f8"))

    def count(partitions: Sequence[int]) -> bytes:
        """Runs on workers: some partitions' part of the counts."""
        states = files.states(partitions)
        return sum((held_out.count(asked, *one) for one in states), held_out.no_counts()).astype("<i8").tobytes()

    counts = None
    if ranks:
        slots = spark.sparkContext.defaultParallelism
        parts = _ask(spark, count, partitions=len(files.files), tasks=min(slots, len(files.files)))
        counts = sum((np.frombuffer(part, "<i8").reshape(2, -1) for part in parts), held_out.no_counts())
    return held_out.measured(json.loads(line), counts, time.perf_counter() - started)


@dataclass(frozen=True)
class _Files:
    run: RunSettings
    files: list[StateFile]

    def states(self, partitions: Iterable[int]) -> Iterator[tuple[int, dict[str, EntityState]]]:
        folder = RunFolder(self.run.output, self.run.run_id)
        for partition in partitions:
            yield partition, folder.read_partition(self.files[partition], self.run.entity_types)


def _ask(spark: SparkSession, answer: Callable[[Sequence[int]], bytes], *, partitions: int, tasks: int) -> list[bytes]:
    """What `answer` says in each task, of the run's partitions that are the task's."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        mine = [number for batch in batches for number in batch["id"].to_pylist()]
        try:
            row = {"answer": [answer(mine)], "error": [None], "exit_code": [0]}
        except TwhinError as error:  # raised here, it would reach the user as a trace through Spark
            row = {"answer": [b""], "error": [str(error)], "exit_code": [error.exit_code]}
        types = (pa.binary(), pa.string(), pa.int32())
        yield pa.record_batch([pa.array(v, t) for v, t in zip(row.values(), types, strict=True)], list(row))

    rows = spark.range(0, partitions, 1, tasks).mapInArrow(work, _ANSWER).collect()
    for row in rows:
        if row["error"] is not None:
            raise failure(row["error"], row["exit_code"])
    return [bytes(row["answer"]) for row in rows]
