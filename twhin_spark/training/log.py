"""`training_rounds`: what every round did, appended to the table as training goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import TRAINING_ROUNDS, ddl
from twhin_spark.training.state import RoundReport

_SECONDS_BETWEEN_COMMITS = 30.0  # a Delta commit takes a second or more, so short epochs share one


class RoundLog:
    """Gathers reports and writes them now and then; the first write replaces what an earlier training left."""

    def __init__(self, store: TableStore, run_id: str, learning_rate: float) -> None:
        self._store = store
        self._run_id = run_id
        self._learning_rate = learning_rate
        self._rows: list[tuple[Any, ...]] = []
        self._written: float | None = None

    def add(self, reports: Sequence[RoundReport], *, last: bool) -> None:
        """Takes an epoch's reports; writes at the first epoch, then every half minute, and after the last."""
        self.take(reports)
        if last or self._written is None or time.monotonic() - self._written > _SECONDS_BETWEEN_COMMITS:
            self._write()

    def take(self, reports: Sequence[RoundReport]) -> None:
        """Takes reports that are written with the next ones."""
        for report in reports:
            for relation, edges in sorted(report.edges.items()):
                loss = report.loss[relation] / edges
                self._rows.append(
                    (
                        self._run_id,
                        report.epoch,
                        report.number,
                        relation,
                        edges,
                        loss,
                        report.seconds,
                        self._learning_rate,
                    )
                )

    def _write(self) -> None:
        rows = self._store.spark.createDataFrame(self._rows, ddl(TRAINING_ROUNDS))
        if self._written is None:
            self._store.overwrite(TRAINING_ROUNDS, rows, where=f"run_id = '{self._run_id}'")
        else:
            self._store.append(TRAINING_ROUNDS, rows)
        self._rows = []
        self._written = time.monotonic()
