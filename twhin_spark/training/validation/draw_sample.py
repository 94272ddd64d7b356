"""Drawing of the validation edges that every epoch is measured on, when a run begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.graph.entity_location import ROW_BITS, Locations, location_column, location_of, partition_of
from twhin_spark.graph.packing import arrays_of
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.training.state.relation_state import RelationSettings
from twhin_spark.training.state.validation_sample import ValidationSample

_DRAWN = 4  # times as many edges are drawn as are wanted, since some have an end that training does not know
_MOST_KNOWN = 10_000  # training targets of a source and relation; the edges of greater hubs are left out


@dataclass(frozen=True)
class _DrawnEdges:
    """Edges (n,) as those of a ValidationSample, before it is known which of them are in training as well."""

    relation: Integers
    source: Locations
    target: Locations
    weight: Floats

    def __len__(self) -> int:
        return len(self.relation)


def draw_validation_sample(
    edges: DataFrame,
    entities: DataFrame,
    buckets: DataFrame,
    relations: Sequence[RelationSettings],
    *,
    limit: int,
    seed: int,
    self_loops: bool,
) -> ValidationSample:
    """Draw validation edges that are no training edges and whose ends both have training edges.

    Parameters
    ----------
    edges, entities, buckets
        The tables `edges`, `entities` and `edge_buckets` of one graph.
    relations
        The graph's relations, by index.
    limit
        The largest number of edges. The sample may be smaller, and empty.
    seed
        The run's seed. The graph and the seed alone decide which edges are drawn.
    self_loops
        The graph keeps self-loops, so that a source may be its own target.
    """
    drawn = _draw(edges, entities, relations, limit, seed)
    edge, target = _training_targets(buckets, drawn)
    chosen = np.setdiff1d(np.arange(len(drawn)), edge[target == drawn.target[edge]])[:limit]
    if not self_loops:  # the source is no candidate
        within_type = np.flatnonzero([relation.source == relation.target for relation in relations])
        looping = np.flatnonzero(np.isin(drawn.relation, within_type))
        edge, target = np.concatenate([edge, looping]), np.concatenate([target, drawn.source[looping]])
    number = np.full(len(drawn), -1)
    number[chosen] = np.arange(len(chosen))
    edge = number[edge]
    return ValidationSample(
        drawn.relation[chosen],
        drawn.source[chosen],
        drawn.target[chosen],
        drawn.weight[chosen],
        edge[edge >= 0],
        target[edge >= 0],
    )


def _draw(
    edges: DataFrame, entities: DataFrame, relations: Sequence[RelationSettings], limit: int, seed: int
) -> _DrawnEdges:
    """Return the first validation edges in the order of a seeded hash, of those with both ends in training."""
    key = ("relation", "source_id", "target_id")
    names = [relation.name for relation in relations]
    validation = edges.where((F.col("split") == "validation") & F.col("relation").isin(names))
    hashed = validation.select("*", F.xxhash64(*key, F.lit(seed)).alias("draw"))
    drawn = hashed.orderBy("draw", *key).limit(_DRAWN * limit)
    trained = entities.where(F.col("degree") > 0)
    target_count = F.coalesce(F.try_element_at("out_degree", F.col("relation")), F.lit(0))
    for end in ("source", "target"):
        ends = trained.select(
            F.col("entity_type").alias(f"{end}_type"),
            F.col("entity_id").alias(f"{end}_id"),
            location_column().alias(end),
            *(["out_degree"] if end == "source" else []),
        )
        drawn = ends.join(F.broadcast(drawn), [f"{end}_type", f"{end}_id"])
    index = F.array_position(F.lit(names), F.col("relation")) - 1
    rows = (
        drawn.where(target_count <= _MOST_KNOWN)
        .select("draw", *key, index.alias("number"), "source", "target", "weight")
        .toArrow()
        .sort_by([(name, "ascending") for name in ("draw", *key)])
    )
    number, source, target, weight = (rows[name].to_numpy() for name in ("number", "source", "target", "weight"))
    return _DrawnEdges(number.astype(np.int16), source, target, weight.astype(np.float32))


def _training_targets(buckets: DataFrame, drawn: _DrawnEdges) -> tuple[Integers, Locations]:
    """Return pairs of a drawn edge's number and a training target of its source under its relation, ascending."""
    if not len(drawn):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    partitions = np.unique(partition_of(drawn.source)).tolist()
    of_sources = buckets.where(F.col("source_partition").isin(partitions))
    rows = of_sources.mapInArrow(_finder(drawn), "edge BINARY, target BINARY").collect()
    edge = np.concatenate([np.empty(0, np.int64), *(np.frombuffer(row["edge"], "<i8") for row in rows)])
    target = np.concatenate([np.empty(0, np.int64), *(np.frombuffer(row["target"], "<i8") for row in rows)])
    order = np.lexsort((target, edge))
    return edge[order], target[order]


def _finder(drawn: _DrawnEdges) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def find(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Find the pairs of `_training_targets` among the edges of some rows of edge_buckets. Runs on workers."""
        drawn_keys = _keys(drawn.relation, drawn.source)
        order = np.argsort(drawn_keys, kind="stable")
        drawn_keys = drawn_keys[order]
        for block in (row for batch in batches for row in batch.to_pylist()):
            arrays = arrays_of(block)
            source = location_of(block["source_partition"], arrays["source"])
            target = location_of(block["target_partition"], arrays["target"])
            keys = _keys(arrays["relation"], source)
            first, last = np.searchsorted(drawn_keys, keys, "left"), np.searchsorted(drawn_keys, keys, "right")
            counts = last - first  # of drawn edges with the same source and relation, for each edge of the block
            starts = np.repeat(first - (np.cumsum(counts) - counts), counts)
            edge = order[starts + np.arange(len(starts))].astype("<i8")
            targets = np.repeat(target, counts).astype("<i8")
            yield pa.RecordBatch.from_pydict({"edge": [edge.tobytes()], "target": [targets.tobytes()]})

    return find


def _keys(relation: Integers, source: Locations) -> Integers:
    """Pack a relation (15 bits) and a location (partition 15 bits, row 32 bits) into one number."""
    keys: Integers = (relation.astype(np.int64) << (ROW_BITS + 15)) + source
    return keys
