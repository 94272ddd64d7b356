"""Aggregation of events to edges: decay by age, and the sum of repeated events."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.graph.exact_sum import RESOLUTION, exact_sum
from twhin_spark.graph.retractions import EDGE
from twhin_spark.logs.relations import by_relation

_MICROS_PER_DAY = 86_400e6


def aggregate(events: DataFrame, config: Config, reference_time: datetime | None) -> DataFrame:
    """Aggregate the events of `with_exclusions` to one row for each edge and split, in the columns of `edges`."""
    events = events.where(F.col("exclusion").isNull())
    decayed = F.greatest(F.col("weight") * _decay(config, reference_time), F.lit(RESOLUTION))
    edges = events.groupBy(EDGE).agg(
        exact_sum(decayed).alias("sum"),
        F.count("*").alias("event_count"),
        F.min("timestamp").alias("first_time"),
        F.max("timestamp").alias("last_time"),
    )
    return edges.withColumns(
        {
            "weight": _total_weight(config),
            "source_type": by_relation(config.relations, lambda relation: relation.source),
            "target_type": by_relation(config.relations, lambda relation: relation.target),
        }
    ).drop("sum")


def _decay(config: Config, reference_time: datetime | None) -> Column:
    """Return 2^(-age / half-life); 1 after the reference time, without a timestamp, and without a half-life.

    For example, with a half-life of 30 days an event of weight 1 counts 0.25 if it is 60 days older than the last one.
    """
    half_lives = {relation.half_life_days for relation in config.relations.values()}
    if reference_time is None or half_lives == {None}:
        return F.lit(1.0)
    age = F.unix_micros(F.lit(reference_time)) - F.unix_micros("timestamp")
    days = F.greatest(age, F.lit(0)) / F.lit(_MICROS_PER_DAY)
    half_life = by_relation(config.relations, lambda relation: relation.half_life_days)
    return F.coalesce(F.pow(F.lit(2.0), -days / half_life), F.lit(1.0))


def _total_weight(config: Config) -> Column:
    """Return the edge's weight: the sum of its events' decayed weights, as the relation's `repeats` changes it."""
    total = F.col("sum")
    repeats = by_relation(config.relations, lambda relation: relation.repeats)
    cap = by_relation(config.relations, lambda relation: relation.cap)
    return F.when(repeats == "log", F.log1p(total)).when(repeats == "cap", F.least(total, cap)).otherwise(total)
