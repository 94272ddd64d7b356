"""Intermediate rows that several steps need."""

from __future__ import annotations

from contextlib import ExitStack

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_BROADCAST_ROWS = 1_000_000  # about 100 MB of ids and numbers


def hold(rows: DataFrame, held: ExitStack) -> DataFrame:
    """Has Spark keep the rows once they are computed, until `held` is closed."""
    kept = rows.persist()
    held.callback(kept.unpersist)
    return kept


def small_side(rows: DataFrame, count: int) -> DataFrame:
    """Has a join send `rows` whole to every task where they are few, so that its other side need not be shuffled."""
    return F.broadcast(rows) if count <= _BROADCAST_ROWS else rows
