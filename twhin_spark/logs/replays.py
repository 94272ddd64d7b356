"""Events that were delivered more than once."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.logs.row_checks import FIELDS

COPY = "copy"  # 1 for the delivery that counts
_KEY = "__key"


def number_deliveries(events: DataFrame, config: Config, number: str) -> DataFrame | None:
    """Deliveries that share their identity, or at least its hash: log, `number`, and COPY, which is 1 for what counts.

    That is the smallest by all fields, so the same rows in another order give the same events. Only rows whose identity
    has the same 64-bit hash are compared by the identity itself, as comparing all would sort the whole log.

    events: log, FIELDS and `number`, which is unique. None where the config does not say what makes two rows one event.
    """
    by_id = [name for name, log in config.logs.items() if log.select.event_id is not None]
    by_all = [name for name, log in config.logs.items() if log.replays == "all_fields"]
    if not by_id + by_all:
        return None
    identity = [F.col("log"), F.col("event_id"), *_fields_of(by_all)]
    hashed = events.where(F.col("log").isin(by_id + by_all)).withColumn(_KEY, F.xxhash64(*identity))
    repeated = hashed.groupBy(_KEY).count().where("count > 1").select(_KEY)
    order = Window.partitionBy(*identity).orderBy(*FIELDS)
    suspects = hashed.join(repeated, _KEY, "left_semi")
    return suspects.select("log", number, F.row_number().over(order).alias(COPY))


def _fields_of(logs: list[str]) -> list[Column]:
    """All other fields, in the logs in which they are part of an event's identity; null elsewhere."""
    return [F.when(F.col("log").isin(logs), F.col(field)) for field in FIELDS if field != "event_id"] if logs else []
