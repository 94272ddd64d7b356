"""Reads the held-out edges of a graph: which of them are new, and where their ends lie."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.evaluation.queries import HeldOutEdges
from twhin_spark.graph.entity_location import location_column
from twhin_spark.tables.caching import broadcast_if_small, cache

Split = Literal["validation", "test"]
SPLITS: tuple[Split, ...] = ("validation", "test")
_EDGE = ["relation", "source_id", "target_id"]
_NO_EDGES = HeldOutEdges(*(np.zeros(0, dtype) for dtype in (np.int64, np.int64, bool, bool)))


def read_held_out_edges(
    edges: DataFrame, entities: DataFrame, relations: Sequence[str]
) -> dict[tuple[str, Split], HeldOutEdges]:
    """The held-out edges by relation and split, from the tables `edges` and `entities`.

    They come to the driver: some 20 bytes for each edge that is held out.
    """
    with ExitStack() as kept:
        held = cache(edges.where(F.col("split") != "train"), kept)
        count = held.count()
        if count == 0:  # without a look at the training edges, of which there may be many
            return {(relation, split): _NO_EDGES for relation in relations for split in SPLITS}
        trained = edges.where(F.col("split") == "train").select(_EDGE)
        known = trained.join(broadcast_if_small(held.select(_EDGE), count), _EDGE, "left_semi")
        placed = _placed(held.join(known, _EDGE, "left_anti"), entities, relations)
    column = {name: placed[name].to_numpy() for name in placed.column_names}
    found: dict[tuple[str, Split], HeldOutEdges] = {}
    for i, relation in enumerate(relations):
        for split in SPLITS:
            mine = np.flatnonzero((column["relation"] == i) & (column["test"] == (split == "test")))
            names = ("source", "target", "connected", "target_connected")
            found[relation, split] = HeldOutEdges(*(column[name][mine] for name in names))
    return found


def _placed(held: DataFrame, entities: DataFrame, relations: Sequence[str]) -> pa.Table:
    """Of each held-out edge the relation's number, whether it is of the test, and where its ends lie."""
    seen = entities.where(F.col("degree") > 0)
    number = F.array_position(F.lit(list(relations)), F.col("relation")) - 1

    def connected(degree: str) -> Column:
        return F.coalesce(F.try_element_at(degree, F.col("relation")), F.lit(0)) > 0

    return (
        held.join(_ends("source", seen, "out_degree"), ["source_type", "source_id"], "left")
        .join(_ends("target", seen, "in_degree"), ["target_type", "target_id"], "left")
        .select(
            number.cast("int").alias("relation"),
            (F.col("split") == "test").alias("test"),
            F.coalesce("source", F.lit(-1)).alias("source"),
            F.coalesce("target", F.lit(-1)).alias("target"),
            connected("out_degree").alias("connected"),
            connected("in_degree").alias("target_connected"),
        )
        .toArrow()
    )


def _ends(end: str, entities: DataFrame, *more: str) -> DataFrame:
    """The entities as one end of an edge: its type, id and place."""
    return entities.select(
        F.col("entity_type").alias(f"{end}_type"),
        F.col("entity_id").alias(f"{end}_id"),
        location_column().alias(end),
        *more,
    )
