"""Accepted events that are part of no edge: retractions, the events that they retract, and self-loops."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.graph.graph_version import utc
from twhin_spark.logs.relations import edge_relation, retracting_relations
from twhin_spark.tables.caching import broadcast_if_small, cache

EDGE = ["relation", "source_id", "target_id", "split"]  # the relation says the types


@dataclass(frozen=True)
class ExclusionCounts:
    """Counts of excluded events, and the time of the last training event (UTC; None if no event has a time)."""

    taken_back: int
    self_loop: int
    reference_time: datetime | None


def with_exclusions(events: DataFrame, config: Config, caches: ExitStack) -> DataFrame:
    """Add a column `exclusion` to events: taken_back, self_loop, or null for an event that is part of an edge.

    `relation` becomes that of the edge. Within a split, the last retraction of an edge excludes the edge's events up
    to its time, and every retraction is excluded itself. A retraction in the test split does not affect training. If
    either event has no timestamp, their order is unknown, and the event is excluded.

    For example, with `follow: {undone_by: unfollow}`, of the events "follow at 1, unfollow at 2, follow at 3" of one
    edge only the last is part of it; the other two are taken_back.
    """
    retracting = retracting_relations(config)
    events_of_edges = events.withColumn("retracts", F.col("relation").isin(retracting))
    events_of_edges = events_of_edges.withColumn("relation", edge_relation(config))
    excluded = F.col("retracts")
    if retracting:
        timed = F.count("timestamp") == F.count("*")
        last = F.when(timed, F.max("timestamp")).alias("retracted_at")
        retractions = events_of_edges.where("retracts").groupBy(EDGE).agg(last)
        retractions = cache(retractions.withColumn("retracted", F.lit(True)), caches)
        events_of_edges = events_of_edges.join(broadcast_if_small(retractions, retractions.count()), EDGE, "left")
        not_later = F.coalesce(F.col("timestamp") <= F.col("retracted_at"), F.lit(True))
        excluded = excluded | (F.col("retracted").isNotNull() & not_later)
    loop = (F.col("source_type") == F.col("target_type")) & (F.col("source_id") == F.col("target_id"))
    loop = loop & F.lit(config.graph.self_loops == "drop")
    exclusion = F.when(excluded, "taken_back").when(loop, "self_loop")
    return events_of_edges.withColumn("exclusion", exclusion).select(*events.columns, "exclusion")


def count_exclusions(events: DataFrame, config: Config) -> ExclusionCounts:
    """Count the excluded events of `with_exclusions` in one pass.

    The reference time is that of the train split's last event, excluded or not.
    """
    timed = any(log.select.timestamp is not None for log in config.logs.values())
    if not timed and not retracting_relations(config) and config.graph.self_loops == "keep":
        return ExclusionCounts(0, 0, None)  # there is nothing to count
    trained = F.when(F.col("split") == "train", F.unix_micros("timestamp"))
    row = events.agg(
        F.count_if(F.col("exclusion") == "taken_back").alias("taken_back"),
        F.count_if(F.col("exclusion") == "self_loop").alias("self_loop"),
        F.max(trained).alias("reference"),
    ).first()
    assert row is not None
    reference = None if row["reference"] is None else utc(row["reference"])
    return ExclusionCounts(row["taken_back"], row["self_loop"], reference)
