"""Degrees are those of the edges that were packed."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import SparkSession

from twhin_spark.config.sections import RelationConfig
from twhin_spark.graph.degrees import degrees
from twhin_spark.graph.packing import pack

_RELATIONS = {
    "follow": RelationConfig(source="user", target="user"),
    "like": RelationConfig(source="user", target="item"),
}
_SCHEMA = (
    "source_partition INT, target_partition INT, block INT, edges INT, source BINARY, target BINARY, relation BINARY, "
    "weight BINARY"
)


def _packed(spark: SparkSession, buckets: dict[tuple[int, int], list[tuple[int, int, int]]]) -> pa.Table:
    """edge_buckets of (relation, source, target) by bucket, two edges a block."""
    rows = []
    for bucket, edges in buckets.items():
        relation, source, target = zip(*edges, strict=True)
        table = pa.table(
            {
                "source": pa.array(source, pa.int32()),
                "target": pa.array(target, pa.int32()),
                "relation": pa.array(relation, pa.int16()),
                "weight": pa.array([1.0] * len(edges), pa.float32()),
            }
        )
        rows += [tuple(row.values()) for row in pack(bucket, table, 2).to_pylist()]
    return spark.createDataFrame(rows, _SCHEMA)


def test_a_degree_counts_edges_by_relation(spark: SparkSession) -> None:
    follow, like = 0, 1
    buckets = _packed(
        spark,
        {
            # user 0 of partition 0 follows itself, is followed by user 1, and likes the item that has its own place
            (0, 0): [(follow, 0, 0), (follow, 1, 0), (like, 0, 0)],
            (0, 1): [(follow, 0, 0), (like, 0, 0), (like, 0, 2)],
            (1, 0): [(follow, 0, 0)],
            (1, 1): [(like, 0, 2)],
        },
    )
    found = {(row[0], row[1], row[2]): row[3:] for row in degrees(buckets, _RELATIONS).collect()}
    assert found == {
        ("user", 0, 0): (7, {"follow": 2, "like": 3}, {"follow": 3}),  # the loop goes out and comes in, but is one edge
        ("user", 0, 1): (1, {"follow": 1}, {}),
        ("user", 1, 0): (3, {"follow": 1, "like": 1}, {"follow": 1}),
        ("item", 0, 0): (1, {}, {"like": 1}),
        ("item", 1, 0): (1, {}, {"like": 1}),
        ("item", 1, 2): (2, {}, {"like": 2}),
    }
