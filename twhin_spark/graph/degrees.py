"""How many training edges an entity has, counted in the packed edges: as numbers, where the edges' ids are strings."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.graph.packing import arrays_of
from twhin_spark.kernels.arrays import Integers

if TYPE_CHECKING:  # workers have no pydantic
    from twhin_spark.config.sections import RelationConfig

_SCHEMA = (
    "entity_type STRING, partition INT, row INT, degree BIGINT, out_degree MAP<STRING,BIGINT>, "
    "in_degree MAP<STRING,BIGINT>"
)
_OUT, _IN = 0, 1


def degrees(buckets: DataFrame, relations: Mapping[str, RelationConfig]) -> DataFrame:
    """Every entity with an edge in `edge_buckets`: entity_type, partition, row, degree, out_degree and in_degree.

    relations: in the order of their indices in the buckets.
    """
    names = list(relations)
    kinds = sorted({kind for relation in relations.values() for kind in (relation.source, relation.target)})
    kind_of = np.array([[kinds.index(one.source), kinds.index(one.target)] for one in relations.values()], np.int64)

    def count_all(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
        blocks = (block for batch in batches for block in batch.to_pylist())
        for partition, of_partition in itertools.groupby(blocks, key=lambda block: block["partition"]):
            yield _count(partition, of_partition, kind_of, kinds, names)

    ends = F.array(*[
        F.struct(F.lit(number).alias("end"), F.col(f"{name}_partition").alias("partition"))
        for number, name in ((_OUT, "source"), (_IN, "target"))
    ])  # fmt: skip
    each = buckets.select("*", F.inline(ends)).select(
        "end", "partition", (F.col("source_partition") == F.col("target_partition")).alias("inner"),
        "source", "target", "relation",
    )  # fmt: skip
    return each.repartition("partition").sortWithinPartitions("partition").mapInArrow(count_all, _SCHEMA)


def _count(
    partition: int, blocks: Iterable[dict[str, Any]], kind_of: Integers, kinds: list[str], names: list[str]
) -> pa.RecordBatch:
    """The degrees of the entities of a partition.

    blocks: both those with these sources (end 0) and those with these targets (end 1); inner ones are there twice.
    kind_of: (relations, 2), numbers of the types of source and target.
    """
    keys, loops = [], []
    for block in blocks:
        arrays = arrays_of(block)
        source, target, relation = (arrays[name].astype(np.int64) for name in ("source", "target", "relation"))
        end = block["end"]
        entity = kind_of[relation, end] << 32 | (target if end == _IN else source)
        keys.append(entity << 16 | relation << 1 | end)  # relations are of 15 bits
        if block["inner"] and end == _IN:
            loops.append(entity[(source == target) & (kind_of[relation, _OUT] == kind_of[relation, _IN])])
    key, edges = np.unique(np.concatenate(keys), return_counts=True)
    entity, relation, end = key >> 16, key >> 1 & 0x7FFF, key & 1
    first = np.flatnonzero(np.diff(entity, prepend=-1))
    degree = np.add.reduceat(edges, first)
    entities = entity[first]
    if loops:  # such an edge goes out and comes in, and is one edge
        looping, count = np.unique(np.concatenate(loops), return_counts=True)
        degree[np.searchsorted(entities, looping)] -= count

    def by_relation(wanted: int) -> pa.MapArray:
        own = end == wanted
        bounds = np.append(0, np.cumsum(np.add.reduceat(own.astype(np.int32), first))).astype(np.int32)
        return pa.MapArray.from_arrays(bounds, pa.array(names).take(pa.array(relation[own])), pa.array(edges[own]))

    return pa.RecordBatch.from_arrays(
        [
            pa.array(kinds).take(pa.array(entities >> 32)),
            pa.array(np.full(len(entities), partition, np.int32)),
            pa.array((entities & 0xFFFFFFFF).astype(np.int32)),
            pa.array(degree),
            by_relation(_OUT),
            by_relation(_IN),
        ],
        ["entity_type", "partition", "row", "degree", "out_degree", "in_degree"],
    )
