"""How many training edges an entity has, and what is done about too few."""

from __future__ import annotations

from contextlib import ExitStack
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.tables.hold import hold, small_side

ENTITY = ["entity_type", "entity_id"]


def degrees(edges: DataFrame) -> DataFrame:
    """Every entity of the train split: ENTITY, degree, out_degree and in_degree as in the table `entities`."""
    by_relation = (
        _ends(edges)
        .groupBy(*ENTITY, "relation", "side")
        .agg(F.count("*").alias("edges"), F.sum("counts").alias("degree"))
    )

    def map_of(side: str) -> Column:
        of_side = F.collect_list(F.when(F.col("side") == side, F.struct("relation", "edges")))
        return F.map_from_entries(F.array_sort(of_side))  # sorted, so that the same graph gives the same bytes

    return by_relation.groupBy(ENTITY).agg(
        F.sum("degree").alias("degree"), map_of("out").alias("out_degree"), map_of("in").alias("in_degree")
    )


def drop_rare(edges: DataFrame, min_degree: dict[str, int], held: ExitStack) -> DataFrame:
    """The edges of all splits without those at an entity whose degree is below the minimum of its type.

    Degrees are taken once: an entity that loses edges to this is not looked at again. An entity without any training
    edge is new, not rare, and stays.
    """
    degree = _ends(edges).groupBy(ENTITY).agg(F.sum("counts").alias("degree"))
    below = [(F.col("entity_type") == name) & (F.col("degree") < least) for name, least in min_degree.items()]
    rare = hold(degree.where(reduce(or_, below)).select(ENTITY), held)
    rare = small_side(rare, rare.count())
    for end in ("source", "target"):
        dropped = rare.toDF(f"{end}_type", f"{end}_id")
        edges = edges.join(dropped, [f"{end}_type", f"{end}_id"], "left_anti")
    return edges


def _ends(edges: DataFrame) -> DataFrame:
    """Two rows for each training edge: ENTITY, relation, side (out, in), counts (0 at the far end of a self-loop)."""
    loop = (F.col("source_type") == F.col("target_type")) & (F.col("source_id") == F.col("target_id"))

    def end(name: str, side: str, counts: Column) -> Column:
        return F.struct(
            F.col(f"{name}_type").alias("entity_type"),
            F.col(f"{name}_id").alias("entity_id"),
            F.lit(side).alias("side"),
            counts.alias("counts"),
        )

    out, into = end("source", "out", F.lit(1)), end("target", "in", F.when(loop, 0).otherwise(1))
    trained = edges.where(F.col("split") == "train")
    return trained.select("relation", F.explode(F.array(out, into)).alias("end")).select("relation", "end.*")
