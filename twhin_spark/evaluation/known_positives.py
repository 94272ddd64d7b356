"""What ranking has to know of each partition of targets, written to files in one pass over the graph.

For each relation the candidates with their popularity; for each set of queries the training targets of its sources.
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
    """The queries of one relation (by number) and split, under a name of their own.

    excludes_source: a source is no candidate of its own queries, as the graph has no edge from an entity to itself.
    """

    name: str
    relation: int
    queries: Queries
    excludes_source: bool


class EdgeBlock(NamedTuple):
    """A row of edge_buckets, unpacked: the edges' (n,) rows, relation numbers and weights."""

    source_partition: int
    target_partition: int
    source: Integers
    target: Integers
    relation: Integers
    weight: NDArray[np.float32]


def unpack_blocks(blocks: pa.Table | pa.RecordBatch) -> Iterator[EdgeBlock]:
    """The blocks of some `edge_buckets` rows, in an order that Spark has no part in."""
    rows: list[dict[str, Any]] = blocks.to_pylist()
    for row in sorted(rows, key=lambda row: (row["source_partition"], row["target_partition"], row["block"])):
        yield EdgeBlock(row["source_partition"], row["target_partition"], **arrays_of(row))


@dataclass(frozen=True)
class KnownPositives:
    """Where the known_positives of a partition are kept."""

    scratch: Scratch

    def candidates(self, relation: int, partition: int) -> Arrays:
        """Of each candidate of a relation (n,): row, ascending; degree and weight, its training edges and their sum."""
        return self.scratch.read(f"targets/{relation}/{partition}")

    def pairs(self, queries: str, partition: int) -> Arrays:
        """What is no answer to a query set's sources (k,): source, its position, ascending; row of the candidate.

        Their training edges and, where the set omits it, the source itself.
        """
        return self.scratch.read(f"known/{queries}/{partition}")

    def write(
        self, target_types: Sequence[str], sets: Sequence[QuerySet], entities: pa.Table, blocks: pa.Table
    ) -> pa.Table:
        """For cogroup().applyInArrow, on workers: a partition's seen entities, and the blocks of edges to them."""
        partition = entities["partition"][0].as_py()
        edges = list(unpack_blocks(blocks))
        for number, kind in enumerate(target_types):
            rows = np.sort(entities.filter(pc.equal(entities["entity_type"], kind))["row"].to_numpy())
            self.scratch.write(f"targets/{number}/{partition}", **_popularity(edges, number, rows))
        for one in sets:
            self.scratch.write(f"known/{one.name}/{partition}", **_known(edges, one, partition))
        return pa.table({"partition": pa.array([partition], pa.int32())})


def mirror_buckets(buckets: DataFrame) -> DataFrame:
    """The rows of `edge_buckets` with the ends of every edge swapped."""
    swapped = {"source_partition": "target_partition", "source": "target"}
    swapped |= {target: source for source, target in swapped.items()}
    return buckets.select(*(F.col(swapped.get(name, name)).alias(name) for name in buckets.columns))


def write_known_positives(
    entities: DataFrame,
    buckets: DataFrame,
    known_positives: KnownPositives,
    target_types: Sequence[str],
    sets: Sequence[QuerySet],
) -> list[int]:
    """Writes the known_positives from the tables `entities` and `edge_buckets`; returns the partitions that have any.

    `target_types` are those of the relations, by number. The other partitions hold no entity of this graph.
    """

    def write(left: pa.Table, right: pa.Table) -> pa.Table:
        return known_positives.write(target_types, sets, left, right)

    seen = entities.where(F.col("degree") > 0).select("entity_type", "partition", "row")
    cogroups = seen.groupBy("partition").cogroup(buckets.groupBy("target_partition"))
    return sorted(row["partition"] for row in cogroups.applyInArrow(write, "partition INT").collect())


def _popularity(blocks: Sequence[EdgeBlock], relation: int, rows: Integers) -> Arrays:
    degree, weight = np.zeros((2, len(rows)))
    for block in blocks:
        mine = block.relation == relation
        at = np.searchsorted(rows, block.target[mine])  # a target of a training edge was seen, so it is there
        degree += np.bincount(at, minlength=len(rows))
        weight += np.bincount(at, block.weight[mine], minlength=len(rows))
    return {"row": rows, "degree": degree.astype(np.float32), "weight": weight.astype(np.float32)}


def _known(blocks: Sequence[EdgeBlock], one: QuerySet, partition: int) -> Arrays:
    itself = partition_slice(one.queries.sources, partition, partition + 1 if one.excludes_source else partition)
    sources: list[Integers] = [np.arange(itself.start, itself.stop)]
    rows: list[Integers] = [row_of(one.queries.sources[itself])]
    for block in blocks:
        mine = block.relation == one.relation
        source = positions_in(location_of(block.source_partition, block.source[mine]), one.queries.sources)
        sources.append(source[source >= 0])
        rows.append(block.target[mine][source >= 0])
    source, row = np.concatenate(sources), np.concatenate(rows)
    order = np.argsort(source, kind="stable")
    return {"source": source[order], "row": row[order]}
