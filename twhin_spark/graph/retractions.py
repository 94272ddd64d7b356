"""What becomes of accepted events before they are added up: taken back, a self-loop, or part of an edge."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.graph.graph_version import utc
from twhin_spark.logs.relations import edge_relation, undoing_relations
from twhin_spark.tables.caching import hold, small_side

EDGE = ["relation", "source_id", "target_id", "split"]  # the relation says the types


@dataclass(frozen=True)
class Fates:
    """Counts of events, and the time of the last training event (UTC; None where no event has a time)."""

    taken_back: int
    self_loop: int
    reference_time: datetime | None


def with_fates(events: DataFrame, config: Config, held: ExitStack) -> DataFrame:
    """Rows of `events` with their `fate`: taken_back, self_loop, or null; `relation` is that of the edge.

    Within a split, the events of an edge up to the last one that takes it back are taken back, and so are those that
    take back. What happens in the test split does not undo what was trained on. Where one of the two events has no
    timestamp, their order is unknown, and the event is taken back.
    """
    undoing = undoing_relations(config)
    located = events.withColumn("undoes", F.col("relation").isin(undoing)).withColumn("relation", edge_relation(config))
    gone = F.col("undoes")
    if undoing:
        timed = F.count("timestamp") == F.count("*")
        undone = located.where("undoes").groupBy(EDGE).agg(F.when(timed, F.max("timestamp")).alias("undone_at"))
        undone = hold(undone.withColumn("undone", F.lit(True)), held)
        located = located.join(small_side(undone, undone.count()), EDGE, "left")
        gone = gone | (F.col("undone").isNotNull() & F.coalesce(F.col("timestamp") <= F.col("undone_at"), F.lit(True)))
    loop = (F.col("source_type") == F.col("target_type")) & (F.col("source_id") == F.col("target_id"))
    fate = F.when(gone, "taken_back").when(loop & F.lit(config.graph.self_loops == "drop"), "self_loop")
    return located.withColumn("fate", fate).select(*events.columns, "fate")


def count_fates(fates: DataFrame, config: Config) -> Fates:
    """One pass over the events. The reference time is that of the train split's last event, whatever became of it."""
    timed = any(log.select.timestamp is not None for log in config.logs.values())
    if not timed and not undoing_relations(config) and config.graph.self_loops == "keep":
        return Fates(0, 0, None)  # there is nothing to count
    trained = F.when(F.col("split") == "train", F.unix_micros("timestamp"))
    row = fates.agg(
        F.count_if(F.col("fate") == "taken_back").alias("taken_back"),
        F.count_if(F.col("fate") == "self_loop").alias("self_loop"),
        F.max(trained).alias("reference"),
    ).first()
    assert row is not None
    reference = None if row["reference"] is None else utc(row["reference"])
    return Fates(row["taken_back"], row["self_loop"], reference)
