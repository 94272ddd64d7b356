"""Validation of a committed model that is too large for one task: Spark's tasks read its files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import SparkSession

from twhin_spark.tables.worker_tasks import run_units
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.round_report import ValidationResult
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile
from twhin_spark.training.validation.validation_ranks import ValidationQueries
from twhin_spark.training.validation.validator import Validator


def validate_files(
    spark: SparkSession, run: RunSettings, validator: Validator, manifest: Manifest, ranks: bool
) -> ValidationResult:
    """Measure a committed model.

    One task gathers the vectors that the loss needs. Ranks take a pass of all tasks over all files.

    Parameters
    ----------
    spark
        The session.
    run
        The settings of the run and, in `train`, those of the epoch.
    validator
        The run's validator.
    manifest
        The model.
    ranks
        Measure the ranks as well.

    Raises
    ------
    InputError
        A state file is damaged.
    """
    started = time.perf_counter()
    model = _ModelFiles(run, manifest.partitions)

    def gather(_: Sequence[int]) -> bytes:
        """Measure the loss and make the queries, reading one partition after the other. Runs on one worker."""
        excerpt = validator.excerpt(model.states(range(len(model.files))))
        loss = validator.loss(excerpt, manifest.relations, run.train)
        queries = validator.queries(excerpt, manifest.relations) if ranks else None
        return json.dumps(loss).encode() + b"\n" + (_to_bytes(queries) if queries else b"")

    (gathered,) = run_units(spark, gather, 1)
    line, _, rest = gathered.partition(b"\n")
    counts = None
    if ranks:
        queries = _from_bytes(rest)

        def count(partitions: Sequence[int]) -> bytes:
            """Count the part of some partitions. Runs on workers."""
            return validator.count(queries, model.states(partitions)).astype("<i8").tobytes()

        tasks = min(spark.sparkContext.defaultParallelism, len(model.files))
        parts = run_units(spark, count, len(model.files), tasks=tasks)
        counts = np.sum([np.frombuffer(part, "<i8").reshape(2, -1) for part in parts], axis=0)
    return validator.result(json.loads(line), counts, time.perf_counter() - started)


@dataclass(frozen=True)
class _ModelFiles:
    run: RunSettings
    files: list[StateFile]

    def states(self, partitions: Iterable[int]) -> Iterator[tuple[int, dict[str, EntityState]]]:
        folder = RunFolder(self.run.output, self.run.run_id)
        for partition in partitions:
            yield partition, folder.read_partition(self.files[partition], self.run.entity_types)


def _to_bytes(queries: ValidationQueries) -> bytes:
    """Return the shape, the vectors and the scores."""
    shape = np.array(queries.vectors.shape, "<i8")
    return shape.tobytes() + queries.vectors.astype("<f4").tobytes() + queries.scores.astype("<f8").tobytes()


def _from_bytes(content: bytes) -> ValidationQueries:
    """Return the queries that `_to_bytes` turned into these bytes."""
    rows, dim = np.frombuffer(content[:16], "<i8").tolist()
    scores = 16 + 4 * rows * dim
    vectors = np.frombuffer(content[16:scores], "<f4").reshape(rows, dim)
    return ValidationQueries(vectors, np.frombuffer(content[scores:], "<f8"))
