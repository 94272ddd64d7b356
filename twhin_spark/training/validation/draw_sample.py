"""The validation edges that every epoch is measured on: drawn when a run begins, and kept in its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.graph.packing import arrays_of
from twhin_spark.kernels.arrays import Integers
from twhin_spark.training.state.relation_state import RelationSettings
from twhin_spark.training.state.validation_sample import ValidationSample
from twhin_spark.training.validation.validation_loss import ROW_BITS

_DRAWN = 4  # times as many edges are drawn as are wanted, since some have an end that training does not know
_MOST_KNOWN = 10_000  # training targets of a source and relation; the edges of greater hubs are left out


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
    """At most `limit` validation edges that are no training edges and whose ends both have some; maybe none.

    The tables are those of a graph, `relations` by index. The graph and the seed alone decide which edges are drawn.
    """
    drawn = _drawn(edges, entities, relations, limit, seed)
    edge, target = _known(buckets, drawn)
    kept = np.setdiff1d(np.arange(len(drawn)), edge[target == drawn.target[edge]])[:limit]
    if not self_loops:  # the source is no candidate
        loops = np.flatnonzero([relation.source == relation.target for relation in relations])
        own = np.flatnonzero(np.isin(drawn.relation, loops))
        edge, target = np.concatenate([edge, own]), np.concatenate([target, drawn.source[own]])
    number = np.full(len(drawn), -1)
    number[kept] = np.arange(len(kept))
    edge = number[edge]
    columns = drawn.relation, drawn.source, drawn.target, drawn.weight
    relation, source, end, weight = (column[kept] for column in columns)
    return ValidationSample(relation, source, end, weight, edge[edge >= 0], target[edge >= 0])


def _drawn(
    edges: DataFrame, entities: DataFrame, relations: Sequence[RelationSettings], limit: int, seed: int
) -> ValidationSample:
    """The first validation edges by a seeded hash, of those with both ends in training: without what is known."""
    key = ("relation", "source_id", "target_id")
    order = (F.xxhash64(*key, F.lit(seed)).alias("draw"), *key)
    held = edges.where((F.col("split") == "validation") & F.col("relation").isin([one.name for one in relations]))
    few = held.select("*", order[0]).orderBy("draw", *key).limit(_DRAWN * limit)
    seen = entities.where(F.col("degree") > 0)
    place = F.shiftleft(F.col("partition").cast("bigint"), ROW_BITS) + F.col("row")
    targets_known = F.coalesce(F.try_element_at("out_degree", F.col("relation")), F.lit(0))
    for end in ("source", "target"):
        ends = seen.select(
            F.col("entity_type").alias(f"{end}_type"),
            F.col("entity_id").alias(f"{end}_id"),
            place.alias(end),
            *(["out_degree"] if end == "source" else []),
        )
        few = ends.join(F.broadcast(few), [f"{end}_type", f"{end}_id"])
    number = F.array_position(F.lit([one.name for one in relations]), F.col("relation")) - 1
    found = (
        few.where(targets_known <= _MOST_KNOWN)
        .select("draw", *key, number.alias("number"), "source", "target", "weight")
        .toArrow()
        .sort_by([(name, "ascending") for name in ("draw", *key)])
    )
    column = {name: found[name].to_numpy() for name in ("number", "source", "target", "weight")}
    none = np.empty(0, np.int64)
    return ValidationSample(
        column["number"].astype(np.int16),
        column["source"],
        column["target"],
        column["weight"].astype(np.float32),
        none,
        none,
    )


def _known(buckets: DataFrame, drawn: ValidationSample) -> tuple[Integers, Integers]:
    """Pairs of an edge's number and a target that its source has in training under its relation."""
    if not len(drawn):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    partitions = np.unique(drawn.source >> ROW_BITS).tolist()
    mine = buckets.where(F.col("source_partition").isin(partitions))
    rows = mine.mapInArrow(_finder(drawn), "edge BINARY, target BINARY").collect()
    edge = np.concatenate([np.empty(0, np.int64), *(np.frombuffer(row["edge"], "<i8") for row in rows)])
    target = np.concatenate([np.empty(0, np.int64), *(np.frombuffer(row["target"], "<i8") for row in rows)])
    order = np.lexsort((target, edge))
    return edge[order], target[order]


def _finder(drawn: ValidationSample) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def find(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Runs on workers: rows of edge_buckets → the pairs of `_known` among their edges."""
        asked = _keys(drawn.relation, drawn.source)
        order = np.argsort(asked, kind="stable")
        asked = asked[order]
        for block in (row for batch in batches for row in batch.to_pylist()):
            arrays = arrays_of(block)
            source = (block["source_partition"] << ROW_BITS) + arrays["source"].astype(np.int64)
            target = (block["target_partition"] << ROW_BITS) + arrays["target"].astype(np.int64)
            keys = _keys(arrays["relation"], source)
            first, last = np.searchsorted(asked, keys, "left"), np.searchsorted(asked, keys, "right")
            counts = last - first  # of drawn edges with the same source and relation, for each edge of the block
            starts = np.repeat(first - (np.cumsum(counts) - counts), counts)
            edge = order[starts + np.arange(len(starts))].astype("<i8")
            known = np.repeat(target, counts).astype("<i8")
            yield pa.RecordBatch.from_pydict({"edge": [edge.tobytes()], "target": [known.tobytes()]})

    return find


def _keys(relation: Integers, source: Integers) -> Integers:
    """A relation (15 bits) and a place (partition 15 bits, row 32 bits) in one number."""
    keys: Integers = (relation.astype(np.int64) << (ROW_BITS + 15)) + source
    return keys
