"""The training edges in rows of partitions, packed by the pair of partitions that they connect."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.graph.packing import pack
from twhin_spark.tables.hold import small_side
from twhin_spark.tables.schemas import EDGE_BUCKETS

_BUCKET = ["source_partition", "target_partition"]


def locate(edges: DataFrame, entities: DataFrame, relations: Sequence[str], entity_count: int) -> DataFrame:
    """Training edges as numbers: source_partition, target_partition, source, target, relation, weight (float).

    source and target are rows of their partitions, relation is the index in `relations`. An entity is found by its
    type and id.
    """
    indices = edges.sparkSession.createDataFrame(list(enumerate(relations)), "index SMALLINT, relation STRING")
    located = edges.where(F.col("split") == "train").join(F.broadcast(indices), "relation")
    places = small_side(entities.select("entity_type", "entity_id", "partition", "row"), entity_count)
    for end in ("source", "target"):
        ends = places.toDF(f"{end}_type", f"{end}_id", f"{end}_partition", end)
        located = located.join(ends, [f"{end}_type", f"{end}_id"])
    return located.select(
        *_BUCKET, "source", "target", F.col("index").alias("relation"), F.col("weight").cast("float").alias("weight")
    )


def pack_buckets(located: DataFrame, block_edges: int) -> DataFrame:
    """Rows of the table `edge_buckets`."""
    schema = ", ".join(f"{column.name} {column.type}" for column in EDGE_BUCKETS.columns)

    def pack_group(bucket: tuple[pa.Scalar, ...], edges: pa.Table) -> pa.Table:  # on a worker
        return pack((bucket[0].as_py(), bucket[1].as_py()), edges, block_edges)

    return located.groupBy(_BUCKET).applyInArrow(pack_group, schema)
