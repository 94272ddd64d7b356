"""How these tests get events: as rows, without a log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import DataFrame, SparkSession

MakeEvents = Callable[..., DataFrame]

_SCHEMA = (
    "relation STRING, source_type STRING, source_id STRING, target_type STRING, target_id STRING, "
    "timestamp TIMESTAMP, weight DOUBLE, split STRING"
)


@pytest.fixture
def make_events(spark: SparkSession) -> MakeEvents:
    """Events from (relation, source, target, day or None, weight, split), the last two with defaults."""

    def make(*rows: tuple[object, ...]) -> DataFrame:
        events = []
        for relation, source, target, day, *rest in rows:
            weight, split = [*rest, *(1.0, "train")[len(rest) :]]
            time = None if day is None else datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=float(str(day)))
            target_type = "item" if relation in ("like", "unlike") else "user"
            events.append((relation, "user", source, target_type, target, time, float(str(weight)), split))
        return spark.createDataFrame(events, _SCHEMA)

    return make
