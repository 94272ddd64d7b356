"""`training_rounds`: what every round did, appended to the table as training goes on."""

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
    """Gathers reports and writes them now and then; the first write replaces what an earlier training left."""

    def __init__(self, store: TableStore, run_id: str, *, first: bool) -> None:
        """first: the run was never trained before, so that there is nothing to replace."""
        self._store = store
        self._run_id = run_id
        self._replaces = not first
        self._rows: list[tuple[Any, ...]] = []
        self._written = time.monotonic()

    def add(self, reports: Sequence[RoundReport], *, last: bool) -> None:
        """Takes reports; writes every half minute, and after the last."""
        self.take(reports)
        if last or time.monotonic() - self._written > _SECONDS_BETWEEN_COMMITS:
            self._write()

    def take(self, reports: Sequence[RoundReport]) -> None:
        """Takes reports that are written with the next ones."""
        for report in reports:
            self._rows += [(self._run_id, *row) for row in _rows(report)]

    def make_up(self, reports: Sequence[RoundReport]) -> None:
        """Writes the reports of a complete run where its driver ended between the last commit and the last write."""
        last = reports[-1]
        if self._store.version(TRAINING_ROUNDS) is not None:
            rows = self._store.read(TRAINING_ROUNDS).where(F.col("run_id") == self._run_id)
            if not rows.where((F.col("epoch") == last.epoch) & (F.col("round") == last.number)).isEmpty():
                return
        self.take(reports)
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
    """The columns after run_id, by relation."""
    held_out = report.held_out
    measured = held_out.edges if held_out else {}
    for relation in sorted({*report.edges, *measured}):
        edges, held = report.edges.get(relation, 0), measured.get(relation)
        loss = report.loss[relation] / edges if edges else None
        mean: list[float | None] = [None, None]
        if held_out and held:
            mean = [part[relation] / held if part else None for part in (held_out.loss, held_out.reciprocal_ranks)]
        rates = report.learning_rate, report.relation_learning_rate
        place = report.epoch, report.number, relation
        yield *place, edges, loss, report.seconds, *rates, held, *mean, *_usage(report.tasks)


def _usage(tasks: Sequence[TaskUsage]) -> tuple[float | None, ...]:
    """The columns from `tasks` on."""
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
