"""The training edges in rows of partitions, packed by the pair of partitions that they connect."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
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
    # One number, which Spark sorts by its digits. The edges of a bucket then follow each other, in any order.
    bucket = F.col(_BUCKET[0]).cast("bigint") * 2**31 + F.col(_BUCKET[1])
    together = located.repartition(*_BUCKET).sortWithinPartitions(bucket)

    def pack_all(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
        for key, edges in itertools.groupby(_runs(batches), key=lambda run: run[0]):
            yield from pack(key, pa.Table.from_batches([run for _, run in edges]), block_edges).to_batches()

    return together.mapInArrow(pack_all, schema)


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[tuple[int, int], pa.RecordBatch]]:
    """The batches cut where the bucket changes, each piece with its bucket."""
    for batch in batches:
        source, target = (batch.column(name).to_numpy() for name in _BUCKET)
        changes = np.flatnonzero(np.diff(source, prepend=-1) | np.diff(target, prepend=-1)).tolist()
        for begin, end in itertools.pairwise([*changes, batch.num_rows]):
            yield (int(source[begin]), int(target[begin])), batch.slice(begin, end - begin)
