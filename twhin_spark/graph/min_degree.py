"""Leaves out entities with too few training edges."""

from __future__ import annotations

from contextlib import ExitStack
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.graph.entities import ENTITY
from twhin_spark.tables.caching import broadcast_if_small, cache


def drop_below_min_degree(edges: DataFrame, min_degree: dict[str, int], caches: ExitStack) -> DataFrame:
    """The edges of all splits without those at an entity whose degree is below the minimum of its type.

    Degrees are taken once: an entity that loses edges to this is not looked at again. An entity without any training
    edge is new, not rare, and stays.
    """
    degree = _ends(edges).groupBy(ENTITY).agg(F.sum("counts").alias("degree"))
    below = [(F.col("entity_type") == name) & (F.col("degree") < least) for name, least in min_degree.items()]
    rare = cache(degree.where(reduce(or_, below)).select(ENTITY), caches)
    rare = broadcast_if_small(rare, rare.count())
    for end in ("source", "target"):
        dropped = rare.toDF(f"{end}_type", f"{end}_id")
        edges = edges.join(dropped, [f"{end}_type", f"{end}_id"], "left_anti")
    return edges


def _ends(edges: DataFrame) -> DataFrame:
    """Two rows for each training edge: ENTITY, and what it counts there (0 at the far end of a self-loop)."""
    trained = edges.where(F.col("split") == "train")
    loop = (F.col("source_type") == F.col("target_type")) & (F.col("source_id") == F.col("target_id"))

    def end(name: str, counts: Column) -> DataFrame:
        return trained.select(
            F.col(f"{name}_type").alias("entity_type"), F.col(f"{name}_id").alias("entity_id"), counts.alias("counts")
        )

    return end("source", F.lit(1)).unionByName(end("target", F.when(loop, 0).otherwise(1)))
