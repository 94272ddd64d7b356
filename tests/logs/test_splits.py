"""Splits: exact by time, stable by fraction."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.support.configs import small_config
from twhin_spark.logs.splits import cutoffs, with_splits

START = datetime(2026, 5, 1, 22, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(20))
def test_cutoffs_are_the_last_seconds_that_give_a_split_its_share(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, rng.choice([5, 1_000, 500_000]), size=rng.integers(1, 200)) - 100_000)
    days = Counter((seconds // 86_400).tolist())

    def seconds_of(wanted: list[int]) -> dict[int, int]:
        return Counter(second for second in seconds.tolist() if second // 86_400 in wanted)

    for count in rng.integers(1, seconds.size, size=5, endpoint=True):
        found = cutoffs(days, seconds_of, {"test": int(count), "none": 0})
        assert found == {"test": seconds[-count]}


def test_by_time_the_last_events_are_held_out_and_a_second_is_never_torn(spark: SparkSession) -> None:
    # 20 events of a second each around midnight, but the last four share one
    times = [START + timedelta(hours=min(i, 16) / 4, milliseconds=37 * i) for i in range(20)]
    events = spark.createDataFrame([(time,) for time in times], "timestamp TIMESTAMP")

    def counts(test: float, validation: float) -> dict[str, int]:
        config = small_config(split={"by": "time", "test": test, "validation": validation})
        split = with_splits(events, config)
        latest = split.groupBy("split").agg(F.min("timestamp").alias("first"), F.count("*").alias("n"))
        rows = {row["split"]: row for row in latest.collect()}
        order = [rows[name]["first"] for name in ("train", "validation", "test") if name in rows]
        assert order == sorted(order)
        return {name: row["n"] for name, row in rows.items()}

    assert counts(0.2, 0.1) == {"train": 14, "validation": 2, "test": 4}
    assert counts(0.1, 0.1) == {"train": 16, "test": 4}  # the four of one second are more than both shares
    assert counts(0.0, 0.25) == {"train": 15, "validation": 5}
    assert counts(0.25, 0.0) == {"train": 15, "test": 5}
    assert counts(0.0, 0.0) == {"train": 20}
    assert counts(0.02, 0.0) == {"train": 20}  # less than half an event


def test_by_fraction_an_edge_and_what_takes_it_back_share_a_split(spark: SparkSession) -> None:
    rows = [(r, f"u{i}", f"u{i + 1}") for i in range(4_000) for r in ("follow", "unfollow", "follow")]
    events = spark.createDataFrame(rows, "relation STRING, source_id STRING, target_id STRING")

    def splits(seed: int) -> dict[str, str]:
        config = small_config(split={"by": "fraction", "test": 0.2, "validation": 0.1, "seed": seed})
        found = with_splits(events, config).select("source_id", "split").distinct().collect()
        assert len(found) == 4_000
        return dict(found)

    first = splits(1)
    share = Counter(first.values())
    assert share["test"] == pytest.approx(800, abs=100)
    assert share["validation"] == pytest.approx(400, abs=80)
    assert splits(1) == first
    assert splits(2) != first
