"""The table `training_rounds`: reports of all rounds, appended while training runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.sql import functions as F

from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import TRAINING_ROUNDS, ddl
from twhin_spark.training.state.round_report import RoundReport, TaskUsage

_SECONDS_BETWEEN_COMMITS = 30.0  # a Delta commit takes a second or more, so short epochs share one


class RoundLog:
    """Writer that collects reports and appends them to the table from time to time.

    The first write replaces the rows of an earlier training of the run.
    """

    def __init__(self, store: TableStore, run_id: str, *, first: bool) -> None:
        """Begin a log. `first`: the run was never trained before, so there is nothing to replace."""
        self._store = store
        self._run_id = run_id
        self._replaces = not first
        self._rows: list[tuple[Any, ...]] = []
        self._written = time.monotonic()

    def add(self, reports: Sequence[RoundReport], *, last: bool) -> None:
        """Add reports; write at most every half minute, and after the last ones."""
        self.collect(reports)
        if last or time.monotonic() - self._written > _SECONDS_BETWEEN_COMMITS:
            self._write()

    def collect(self, reports: Sequence[RoundReport]) -> None:
        """Add reports that are written together with the next ones."""
        for report in reports:
            self._rows += [(self._run_id, *row) for row in _rows(report)]

    def complete(self, reports: Sequence[RoundReport]) -> None:
        """Write the reports of a complete run if its driver ended between its last commit and its last write."""
        last = reports[-1]
        if self._store.version(TRAINING_ROUNDS) is not None:
            rows = self._store.read(TRAINING_ROUNDS).where(F.col("run_id") == self._run_id)
            if not rows.where((F.col("epoch") == last.epoch) & (F.col("round") == last.number)).isEmpty():
                return
        self.collect(reports)
        self._write()

    def _write(self) -> None:
        rows = self._store.spark.createDataFrame(self._rows, ddl(TRAINING_ROUNDS)).coalesce(1)
        if self._replaces:
            self._store.overwrite(TRAINING_ROUNDS, rows, where=f"run_id = '{self._run_id}'")
        else:
            self._store.append(TRAINING_ROUNDS, rows)
        self._replaces = False
        self._rows = []
        self._written = time.monotonic()


def _rows(report: RoundReport) -> Iterator[tuple[Any, ...]]:
    """Return the columns after run_id, a row for each relation."""
    validation = report.held_out
    validation_edges = validation.edges if validation else {}
    for relation in sorted({*report.edges, *validation_edges}):
        edges, held_out = report.edges.get(relation, 0), validation_edges.get(relation)
        loss = report.loss[relation] / edges if edges else None
        means: list[float | None] = [None, None]
        if validation and held_out:
            sums = validation.loss, validation.reciprocal_ranks
            means = [part[relation] / held_out if part else None for part in sums]
        rates = report.learning_rate, report.relation_learning_rate
        key = report.epoch, report.number, relation
        yield *key, edges, loss, report.seconds, *rates, held_out, *means, *_usage(report.tasks)


def _usage(tasks: Sequence[TaskUsage]) -> tuple[float | None, ...]:
    """Return the columns from `tasks` on."""
    if not tasks:
        return (None,) * 10
    seconds = [task.seconds for task in tasks]
    return (
        len(tasks),
        statistics.median(seconds),
        max(seconds),
        *(sum(getattr(task, f"{part}_seconds") for task in tasks) for part in ("edge", "read", "kernel", "write")),
        sum(task.read_bytes for task in tasks),
        sum(task.written_bytes for task in tasks),
        max(task.peak_rss_bytes for task in tasks),
    )
