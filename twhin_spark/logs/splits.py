"""Splits: which events are held out of training, by time, by a seeded draw of edges, or as the log gives it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.config.sections import SplitConfig
from twhin_spark.logs.relations import edge_relation

_DAY = 86_400


def with_splits(events: DataFrame, config: Config) -> DataFrame:
    """Add the `split` of the events: train, validation or test."""
    split = config.split
    if split.by == "source":
        return events
    if split.by == "fraction":
        return events.withColumn("split", split_by_fraction(edge_relation(config), split))
    return events.withColumn("split", split_by_time(events, split))


def split_by_fraction(relation: Column, split: SplitConfig) -> Column:
    """Draw a split by (seed, relation, source, target): all events of an edge, retractions included, share it."""
    key = F.xxhash64(F.lit(split.seed), relation, "source_id", "target_id")
    draw = F.shiftrightunsigned(key, 11) * F.lit(2.0**-53)  # uniform in [0, 1)
    return F.when(draw < split.test, "test").when(draw < split.test + split.validation, "validation").otherwise("train")


def split_by_time(events: DataFrame, split: SplitConfig) -> Column:
    """Return the split by time: the last `test` share of the events is test, the `validation` share before validation.

    The cutoffs are whole seconds, and all events of a second share a split. Test begins at the last second that gives
    it at least its share, and so does validation: the second in which a cutoff falls belongs to the later split. A
    share that comes to less than half an event holds nothing out.
    """
    seconds = events.select(F.floor(F.unix_micros("timestamp") / 1_000_000).alias("second"))
    day = F.floor(F.col("second") / _DAY)
    days = _histogram(seconds, day)
    total = sum(days.values())
    test, validation = Fraction(str(split.test)), Fraction(str(split.validation))
    begins = cutoffs(
        days,
        lambda wanted: _histogram(seconds.where(day.isin(wanted)), F.col("second")),
        {"validation": round((test + validation) * total), "test": round(test * total)},
    )
    result = F.lit("train")
    for name, second in begins.items():
        result = F.when(F.unix_micros("timestamp") >= second * 1_000_000, name).otherwise(result)
    return result


def cutoffs(
    days: dict[int, int], seconds_of: Callable[[list[int]], dict[int, int]], counts: dict[str, int]
) -> dict[str, int]:
    """Return for each of `counts` above zero the last Unix second from which on at least so many events fall.

    `days`: events by day since 1970; `seconds_of`: events by Unix second in some days. Two small histograms do for a
    log of any length.
    """
    reached = {name: _reach(days, count) for name, count in counts.items() if count}
    seconds = seconds_of(sorted({day for day, _ in reached.values()})) if reached else {}
    begins = {}
    for name, (day, later) in reached.items():
        of_day = {second: events for second, events in seconds.items() if second // _DAY == day}
        begins[name], _ = _reach(of_day, counts[name] - later)
    return begins


def _reach(histogram: dict[int, int], count: int) -> tuple[int, int]:
    """Return the last key with at least `count` events from it on, and the number of events after that key."""
    later = 0
    for key in sorted(histogram, reverse=True):
        if later + histogram[key] >= count:
            return key, later
        later += histogram[key]
    raise ValueError(f"a histogram of {later} events does not reach {count}")


def _histogram(rows: DataFrame, key: Column) -> dict[int, int]:
    return {row["key"]: row["count"] for row in rows.groupBy(key.alias("key")).count().collect()}
