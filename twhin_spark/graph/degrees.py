"""Degrees: how many training edges an entity has, counted in the packed edges, whose ends are numbers.

The ends of a partition's edges become integers of 64 bits, so that one sort counts them all:

    bits 48-62  index of the entity type
    bits 16-47  row of the entity in its partition
    bits  1-15  index of the relation
    bit      0  end: 0 if the entity is the source, 1 if it is the target

For example, with the types ["item", "user"], user row 5 as the source of relation 3 is 1 << 48 | 5 << 16 | 3 << 1 | 0.
Equal keys are the edges of one (entity, relation, end), and the keys of one entity follow each other.
"""

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
    """Count the edges of every entity that has one in `edge_buckets`.

    Parameters
    ----------
    buckets
        Rows of the table `edge_buckets`.
    relations
        The relations in the order of their indices in the buckets.

    Returns
    -------
    DataFrame
        Columns entity_type, partition, row, degree, out_degree and in_degree, one row for each entity.
    """
    names = list(relations)
    ends_of = [(relation.source, relation.target) for relation in relations.values()]
    types = sorted({entity_type for ends in ends_of for entity_type in ends})
    type_of = np.array([[types.index(source), types.index(target)] for source, target in ends_of], np.int64)

    def count_all(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
        blocks = (block for batch in batches for block in batch.to_pylist())
        for partition, of_partition in itertools.groupby(blocks, key=lambda block: block["partition"]):
            yield _count(partition, of_partition, type_of, types, names)

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
    partition: int, blocks: Iterable[dict[str, Any]], type_of: Integers, types: list[str], names: list[str]
) -> pa.RecordBatch:
    """Count the degrees of the entities of a partition.

    blocks: blocks with the partition's sources (end 0) and with its targets (end 1); an inner block comes as both.
    type_of: (relations, 2), indices of the types of source and target.
    """
    keys, loops = [], []
    for block in blocks:
        arrays = arrays_of(block)
        source, target, relation = (arrays[name].astype(np.int64) for name in ("source", "target", "relation"))
        end = block["end"]
        entity = type_of[relation, end] << 32 | (target if end == _IN else source)
        keys.append(entity << 16 | relation << 1 | end)  # relations are of 15 bits
        if block["inner"] and end == _IN:
            loops.append(entity[(source == target) & (type_of[relation, _OUT] == type_of[relation, _IN])])
    key, edges = np.unique(np.concatenate(keys), return_counts=True)
    entity, relation, end = key >> 16, key >> 1 & 0x7FFF, key & 1
    first = np.flatnonzero(np.diff(entity, prepend=-1))
    degree = np.add.reduceat(edges, first)
    entities = entity[first]
    if loops:  # a self-loop has both ends here, but is one edge
        looping, count = np.unique(np.concatenate(loops), return_counts=True)
        degree[np.searchsorted(entities, looping)] -= count

    def by_relation(direction: int) -> pa.MapArray:
        chosen = end == direction
        bounds = np.append(0, np.cumsum(np.add.reduceat(chosen.astype(np.int32), first))).astype(np.int32)
        keys = pa.array(names).take(pa.array(relation[chosen]))
        return pa.MapArray.from_arrays(bounds, keys, pa.array(edges[chosen]))

    return pa.RecordBatch.from_arrays(
        [
            pa.array(types).take(pa.array(entities >> 32)),
            pa.array(np.full(len(entities), partition, np.int32)),
            pa.array((entities & 0xFFFFFFFF).astype(np.int32)),
            pa.array(degree),
            by_relation(_OUT),
            by_relation(_IN),
        ],
        ["entity_type", "partition", "row", "degree", "out_degree", "in_degree"],
    )
