"""Removal of entities with too few training edges."""

from __future__ import annotations

from contextlib import ExitStack
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.graph.entities import ENTITY
from twhin_spark.tables.caching import broadcast_if_small, cache


def drop_below_min_degree(edges: DataFrame, min_degree: dict[str, int], caches: ExitStack) -> DataFrame:
    """Drop the edges, of all splits, at an entity whose degree is below the minimum of its type.

    Degrees are counted once: an entity that loses edges by this is not checked again. An entity without any training
    edge is new and stays. For example, with `min_degree: {user: 2}` and the training edges a-x, a-y and b-x, the edge
    b-x is dropped, as user b has one edge.
    """
    degree = _ends(edges).groupBy(ENTITY).agg(F.sum("counts").alias("degree"))
    below = [(F.col("entity_type") == name) & (F.col("degree") < minimum) for name, minimum in min_degree.items()]
    dropped = cache(degree.where(reduce(or_, below)).select(ENTITY), caches)
    dropped = broadcast_if_small(dropped, dropped.count())
    for end in ("source", "target"):
        key = [f"{end}_type", f"{end}_id"]
        edges = edges.join(dropped.toDF(*key), key, "left_anti")
    return edges


def _ends(edges: DataFrame) -> DataFrame:
    """Return two rows for each training edge: ENTITY and counts, which is 1, or 0 at the target of a self-loop."""
    trained = edges.where(F.col("split") == "train")
    loop = (F.col("source_type") == F.col("target_type")) & (F.col("source_id") == F.col("target_id"))

    def end(name: str, counts: Column) -> DataFrame:
        return trained.select(
            F.col(f"{name}_type").alias("entity_type"), F.col(f"{name}_id").alias("entity_id"), counts.alias("counts")
        )

    return end("source", F.lit(1)).unionByName(end("target", F.when(loop, 0).otherwise(1)))
