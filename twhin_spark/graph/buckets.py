"""Edge buckets: the training edges as numbers, packed by the pair of partitions that they connect."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.graph.entities import ENDS, ENTITY, entity_key
from twhin_spark.graph.packing import pack
from twhin_spark.tables.caching import broadcast_if_small
from twhin_spark.tables.schemas import EDGE_BUCKETS, ddl


def locate(
    edges: DataFrame, entities: DataFrame, relations: Sequence[str], entity_count: int, collisions: int
) -> DataFrame:
    """Return the training edges as numbers: source_partition, target_partition, source, target, relation, weight.

    source and target are rows of their partitions, relation is the index in `relations`, weight a float. Entities are
    joined by their entity_key, which is one number instead of two strings, or, if some share theirs (`collisions`), by
    type and id.
    """
    indices = edges.sparkSession.createDataFrame(list(enumerate(relations)), "index SMALLINT, relation STRING")
    located = edges.where(F.col("split") == "train").join(F.broadcast(indices), "relation")
    identity = ENTITY if collisions else ["entity_key"]
    locations = broadcast_if_small(entities.select(*identity, "partition", "row"), entity_count)
    ends = {end: [F.col(f"{end}_type"), F.col(f"{end}_id")] for end in ENDS}
    keys_of = {end: columns if collisions else [entity_key(*columns)] for end, columns in ends.items()}
    located = located.select(
        F.col("index").alias("relation"),
        F.col("weight").cast("float").alias("weight"),
        *[column.alias(f"{end}_{name}") for end in ends for name, column in zip(identity, keys_of[end], strict=True)],
    )
    for end in ends:
        keys = [f"{end}_{name}" for name in identity]
        located = located.join(locations.toDF(*keys, f"{end}_partition", end), keys)
    return located.select("source_partition", "target_partition", "source", "target", "relation", "weight")


def pack_buckets(located: DataFrame, block_edges: int) -> DataFrame:
    """Pack the numbered edges of `locate` into rows of the table `edge_buckets`."""
    # One number for a bucket, which Spark sorts by its digits, and one for the ends: a third less to shuffle.
    bucket, ends = _pair("source_partition", "target_partition"), _pair("source", "target")
    numbers = located.select(bucket.alias("bucket"), ends.alias("ends"), "relation", "weight")
    together = numbers.repartition("bucket").sortWithinPartitions("bucket")

    def pack_all(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
        for bucket, runs in itertools.groupby(_runs(batches), key=lambda run: run[0]):
            edges = pa.Table.from_batches([run for _, run in runs])
            yield from pack(divmod(bucket, 2**32), _with_ends(edges), block_edges).to_batches()

    return together.mapInArrow(pack_all, ddl(EDGE_BUCKETS))


def _pair(first: str, second: str) -> Column:
    """Combine two numbers of 31 bits into one: `first` in the upper half. Partitions 3 and 5 become 3 · 2^32 + 5."""
    return F.shiftleft(F.col(first).cast("bigint"), 32).bitwiseOR(F.col(second).cast("bigint"))


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cut the batches at each change of the bucket, and yield each piece with its bucket."""
    for batch in batches:
        bucket = batch.column("bucket").to_numpy()
        changes = np.flatnonzero(np.diff(bucket, prepend=-1)).tolist()
        for begin, end in itertools.pairwise([*changes, batch.num_rows]):
            yield int(bucket[begin]), batch.slice(begin, end - begin)


def _with_ends(edges: pa.Table) -> pa.Table:
    """Split the pairs of ends again: return columns source, target, relation and weight."""
    source, target = np.divmod(edges["ends"].to_numpy(), 2**32)
    return pa.table({"source": source, "target": target, "relation": edges["relation"], "weight": edges["weight"]})
