"""The edges from consumers to producers: the matrix A of SimClusters, with entity locations as row and column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.evaluation.known_positives import unpack_blocks
from twhin_spark.graph.entity_location import location_of
from twhin_spark.graph.exact_sum import exact_sum
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.tables.caching import cache
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS


@dataclass(frozen=True)
class ConsumerEdges:
    """The edges, cached by Spark.

    Attributes
    ----------
    rows
        consumer and producer, BIGINT entity locations, each pair once; weight, DOUBLE in (0, 1).
    exponent
        The true weights are those of the rows times 2^exponent. The power of two keeps sums of products and squares
        within the integers of `exact_sum`, and does not change a bit of the digits.
    count
        Number of rows.
    """

    rows: DataFrame
    exponent: int
    count: int


def read_consumer_edges(store: TableStore, config: Config, graph: GraphVersion, caches: ExitStack) -> ConsumerEdges:
    """Read the training edges of `communities.consumers.relations`.

    Raises
    ------
    InputError
        The graph lacks one of the relations, or has no such edge.
    """
    assert config.communities is not None
    consumers = config.communities.consumers
    numbers = {name: number for number, name in enumerate(graph.relations)}
    if missing := [name for name in consumers.relations if name not in numbers]:
        raise InputError(
            f"communities.consumers.relations.{missing[0]}: graph {graph.graph_id} has no such relation; "
            "run build-graph with this config"
        )
    factors = np.zeros(len(numbers))
    for name, factor in consumers.relations.items():
        factors[numbers[name]] = factor
    edge_weights = consumers.edge_weights

    def unpack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
        for batch in batches:
            for block in unpack_blocks(batch):
                kept = factors[block.relation] > 0
                factor = factors[block.relation[kept]]
                weight = block.weight[kept].astype(np.float64) * factor if edge_weights else factor
                yield pa.RecordBatch.from_pydict(
                    {
                        "consumer": pa.array(location_of(block.source_partition, block.source[kept].astype(np.int64))),
                        "producer": pa.array(location_of(block.target_partition, block.target[kept].astype(np.int64))),
                        "weight": pa.array(weight),
                    }
                )

    buckets = store.read(EDGE_BUCKETS, graph.tables["edge_buckets"])
    rows = buckets.mapInArrow(unpack, "consumer BIGINT, producer BIGINT, weight DOUBLE")
    if len(consumers.relations) > 1:
        rows = rows.groupBy("consumer", "producer").agg(exact_sum(F.col("weight")).alias("weight"))
    rows = cache(rows, caches)
    sizes = rows.agg(F.count("*").alias("count"), F.max("weight").alias("largest")).first()
    assert sizes is not None
    if not sizes["count"]:
        names = ", ".join(consumers.relations)
        raise InputError(f"communities.consumers.relations: the graph has no training edge of {names}; use others")
    exponent = math.frexp(sizes["largest"])[1]
    scaled = rows.withColumn("weight", F.col("weight") * F.lit(2.0**-exponent))
    return ConsumerEdges(cache(scaled, caches), exponent, sizes["count"])
