"""Files of candidates and known positives, one set for each partition of targets, written in one pass over the graph.

For each relation a file holds the candidates with their popularity; for each query set, the training targets of its
sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.evaluation.queries import Queries
from twhin_spark.evaluation.scratch import Arrays, Scratch
from twhin_spark.graph.entity_location import location_of, partition_slice, positions_in, row_of
from twhin_spark.graph.packing import arrays_of
from twhin_spark.kernels.arrays import Integers


@dataclass(frozen=True)
class QuerySet:
    """The queries of one relation (by number) and split, under a unique name.

    excludes_source: true if a source is no candidate of its own queries, because the graph has no edge from an entity
    to itself.
    """

    name: str
    relation: int
    queries: Queries
    excludes_source: bool


class EdgeBlock(NamedTuple):
    """A row of `edge_buckets`, unpacked: the rows of the edges' ends, their relation numbers and weights, (n,) each."""

    source_partition: int
    target_partition: int
    source: Integers
    target: Integers
    relation: Integers
    weight: NDArray[np.float32]


def unpack_blocks(blocks: pa.Table | pa.RecordBatch) -> Iterator[EdgeBlock]:
    """Unpack rows of `edge_buckets`, in an order that does not depend on Spark."""
    rows: list[dict[str, Any]] = blocks.to_pylist()
    for row in sorted(rows, key=lambda row: (row["source_partition"], row["target_partition"], row["block"])):
        yield EdgeBlock(row["source_partition"], row["target_partition"], **arrays_of(row))


def mirror_buckets(buckets: DataFrame) -> DataFrame:
    """Swap the ends of every edge in rows of `edge_buckets`."""
    swapped = {"source_partition": "target_partition", "source": "target"}
    swapped |= {target: source for source, target in swapped.items()}
    return buckets.select(*(F.col(swapped.get(name, name)).alias(name) for name in buckets.columns))


@dataclass(frozen=True)
class KnownPositives:
    """The files of each partition: its candidates, and the pairs that ranking leaves out."""

    scratch: Scratch

    def candidates(self, relation: int, partition: int) -> Arrays:
        """Read the candidates (n,) of a relation.

        Returns `row`, ascending, and float32 `degree` and `weight`: the number of its training edges of the relation,
        and the sum of their weights.
        """
        return self.scratch.read(f"candidates/{relation}/{partition}")

    def pairs(self, query_set: str, partition: int) -> Arrays:
        """Read the pairs (k,) that are no candidates of a query set, by source.

        Returns `source`, the position of the source in the queries' `sources`, and `row`, that of the candidate. The
        pairs are training edges and, if the set excludes it, the source itself.
        """
        return self.scratch.read(f"known/{query_set}/{partition}")

    def write(
        self, target_types: Sequence[str], query_sets: Sequence[QuerySet], entities: pa.Table, blocks: pa.Table
    ) -> pa.Table:
        """Write the files of one partition, from its seen entities and the blocks of edges to them.

        Runs on workers, in cogroup().applyInArrow.
        """
        partition = entities["partition"][0].as_py()
        edges = list(unpack_blocks(blocks))
        for number, target_type in enumerate(target_types):
            rows = np.sort(entities.filter(pc.equal(entities["entity_type"], target_type))["row"].to_numpy())
            self.scratch.write(f"candidates/{number}/{partition}", **_popularity(edges, number, rows))
        for query_set in query_sets:
            self.scratch.write(f"known/{query_set.name}/{partition}", **_pairs(edges, query_set, partition))
        return pa.table({"partition": pa.array([partition], pa.int32())})


def write_known_positives(
    entities: DataFrame,
    buckets: DataFrame,
    known_positives: KnownPositives,
    target_types: Sequence[str],
    query_sets: Sequence[QuerySet],
) -> list[int]:
    """Write the files of every partition that has an entity with a training edge.

    Parameters
    ----------
    entities, buckets
        The tables `entities` and `edge_buckets` of one graph version.
    known_positives
        The folder of the files.
    target_types
        The target type of each relation, by its number.
    query_sets
        The query sets whose sources' training targets are written.

    Returns
    -------
    The partitions that have files, ascending.
    """

    def write(left: pa.Table, right: pa.Table) -> pa.Table:
        return known_positives.write(target_types, query_sets, left, right)

    seen = entities.where(F.col("degree") > 0).select("entity_type", "partition", "row")
    cogroups = seen.groupBy("partition").cogroup(buckets.groupBy("target_partition"))
    return sorted(row["partition"] for row in cogroups.applyInArrow(write, "partition INT").collect())


def _popularity(blocks: Sequence[EdgeBlock], relation: int, rows: Integers) -> Arrays:
    """Count the relation's training edges to each row (n,), ascending, and sum up their weights."""
    degree, weight = np.zeros((2, len(rows)))
    for block in blocks:
        edges = block.relation == relation
        position = np.searchsorted(rows, block.target[edges])  # The target of a training edge is among the rows.
        degree += np.bincount(position, minlength=len(rows))
        weight += np.bincount(position, block.weight[edges], minlength=len(rows))
    return {"row": rows, "degree": degree.astype(np.float32), "weight": weight.astype(np.float32)}


def _pairs(blocks: Sequence[EdgeBlock], query_set: QuerySet, partition: int) -> Arrays:
    """Collect the pairs of `KnownPositives.pairs`."""
    queried = query_set.queries.sources
    excluded = partition_slice(queried, partition, partition + 1 if query_set.excludes_source else partition)
    sources: list[Integers] = [np.arange(excluded.start, excluded.stop)]
    rows: list[Integers] = [row_of(queried[excluded])]
    for block in blocks:
        edges = block.relation == query_set.relation
        source = positions_in(location_of(block.source_partition, block.source[edges]), queried)
        sources.append(source[source >= 0])
        rows.append(block.target[edges][source >= 0])
    source, row = np.concatenate(sources), np.concatenate(rows)
    order = np.argsort(source, kind="stable")
    return {"source": source[order], "row": row[order]}
