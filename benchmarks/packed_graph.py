"""A large heavy-tailed graph, written directly as the tables that training reads: no logs are needed.

The tables are entities, edge_buckets and graph_versions. Entity k is in partition k modulo P. The target of an edge is
drawn from a power law, its source from a flatter one; a fixed permutation deals the targets over the entities.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from twhin_spark.graph.entities import entity_key
from twhin_spark.graph.packing import BLOCK_SCHEMA, pack
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, ENTITIES, GRAPH_VERSIONS, ddl

BLOCK_EDGES = 65_536


def write_graph(
    spark: SparkSession, output: str, *, entities: int, edges: int, partitions: int, relations: tuple[str, ...]
) -> int:
    """Write a graph of one entity type, `node`, as the tables of a finished build.

    Parameters
    ----------
    spark
        The session that writes.
    output
        The config's `output` folder; the tables are in its folder `tables`.
    entities, edges, partitions
        The numbers of entities, of drawn edges (equal ones become one) and of partitions.
    relations
        The names of relations, of which each edge has one at random.

    Returns
    -------
    int
        The number of distinct edges.
    """
    store = TableStore(spark, output)
    rows = spark.range(entities).select(
        F.lit("node").alias("entity_type"),
        F.col("id").cast("string").alias("entity_id"),
        (F.col("id") % partitions).cast("int").alias("partition"),
        F.floor(F.col("id") / partitions).cast("int").alias("row"),
        F.lit(1).alias("degree"),
        F.create_map().cast("map<string,bigint>").alias("out_degree"),
        F.create_map().cast("map<string,bigint>").alias("in_degree"),
    )
    keyed = rows.withColumn("entity_key", entity_key(F.col("entity_type"), F.col("entity_id")))
    versions = {"entities": store.overwrite(ENTITIES, keyed)}
    draw = _drawer(entities, edges, partitions, len(relations))
    sources = spark.range(partitions, numPartitions=min(partitions, 64))
    versions["edge_buckets"] = store.overwrite(EDGE_BUCKETS, sources.mapInArrow(draw, ddl(EDGE_BUCKETS)))
    total = store.read(EDGE_BUCKETS, versions["edge_buckets"]).agg(F.sum("edges")).first()
    assert total is not None
    graph = {
        "graph_id": f"planted-{entities}-{edges}-{partitions}",
        "built_at": datetime.now(UTC),
        "tables": versions,
        "relations": list(relations),
        "partitions": partitions,
        "reference_time": datetime.now(UTC),
        "hash_collisions": 0,
        "rows": "{}",
        "config": "{}",
    }
    store.overwrite(GRAPH_VERSIONS, spark.createDataFrame([graph], ddl(GRAPH_VERSIONS)))
    return int(total[0])


def _drawer(entities: int, edges: int, partitions: int, relations: int):  # type: ignore[no-untyped-def]
    def draw(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for partition in batch["id"].to_pylist():
                yield from _buckets_of(partition, entities, edges, partitions, relations)

    return draw


def _buckets_of(partition: int, entities: int, edges: int, partitions: int, relations: int) -> Iterator[pa.RecordBatch]:
    """Yield the buckets of the edges whose sources are in a partition, packed into blocks."""
    rng = np.random.default_rng((partition, entities, edges))
    rows = -(-(entities - partition) // partitions)  # entities of the partition
    count = edges // partitions
    source = (rows * rng.random(count) ** 2).astype(np.int64)  # row in the partition
    rank = (entities * rng.random(count) ** 3).astype(np.int64)  # the lower, the more frequent
    target = (rank * 7_368_787 + 11) % entities  # times a prime: each rank has an entity of its own
    relation = rng.integers(relations, size=count)
    unique = np.unique(np.stack([target % partitions, relation, source, target // partitions], axis=1), axis=0)
    bounds = np.searchsorted(unique[:, 0], np.arange(partitions + 1))
    for other in range(partitions):
        _, relation, source, target = unique[bounds[other] : bounds[other + 1]].T
        columns = {"source": source, "target": target, "relation": relation, "weight": np.ones(len(source))}
        packed = pack((partition, other), pa.table(columns), BLOCK_EDGES).cast(BLOCK_SCHEMA)
        yield from packed.to_batches(max_chunksize=4)
