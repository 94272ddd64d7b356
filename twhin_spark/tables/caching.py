"""Caching and broadcasting of intermediate rows that several steps need."""

from __future__ import annotations

from contextlib import ExitStack

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_BROADCAST_ROWS = 1_000_000  # about 100 MB of ids and numbers


def cache(rows: DataFrame, caches: ExitStack) -> DataFrame:
    """Have Spark keep the rows once they are computed, until the stack `caches` is closed."""
    cached = rows.persist()
    caches.callback(cached.unpersist)
    return cached


def broadcast_if_small(rows: DataFrame, count: int) -> DataFrame:
    """Have a join send up to a million `rows` whole to every task, so that its other side need not be shuffled."""
    return F.broadcast(rows) if count <= _BROADCAST_ROWS else rows
