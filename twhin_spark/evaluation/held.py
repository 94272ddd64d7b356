"""Reads the held-out edges of a graph: which of them are new, and where their ends lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.evaluation.places import ROW_BITS
from twhin_spark.evaluation.queries import HeldEdges

Split = Literal["validation", "test"]
_EDGE = ["relation", "source_id", "target_id"]


def read_held_edges(
    edges: DataFrame, entities: DataFrame, relations: Sequence[str]
) -> dict[tuple[str, Split], HeldEdges]:
    """The held-out edges by relation and split, from the tables `edges` and `entities`.

    They come to the driver: some 20 bytes for each edge that is held out.
    """
    held = edges.where(F.col("split") != "train").join(
        edges.where(F.col("split") == "train").select(_EDGE), _EDGE, "left_anti"
    )
    seen = entities.where(F.col("degree") > 0)
    number = F.array_position(F.lit(list(relations)), F.col("relation")) - 1

    def connected(degree: str) -> Column:
        return F.coalesce(F.try_element_at(degree, F.col("relation")), F.lit(0)) > 0

    placed = (
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
    column = {name: placed[name].to_numpy() for name in placed.column_names}
    found: dict[tuple[str, Split], HeldEdges] = {}
    for i, relation in enumerate(relations):
        for split in ("validation", "test"):
            mine = np.flatnonzero((column["relation"] == i) & (column["test"] == (split == "test")))
            names = ("source", "target", "connected", "target_connected")
            found[relation, split] = HeldEdges(*(column[name][mine] for name in names))
    return found


def _ends(end: str, entities: DataFrame, *more: str) -> DataFrame:
    """The entities as one end of an edge: its type, id and place."""
    return entities.select(
        F.col("entity_type").alias(f"{end}_type"), F.col("entity_id").alias(f"{end}_id"), _place().alias(end), *more
    )


def _place() -> Column:
    """`places.place_of`, of a row of `entities`."""
    return F.shiftleft(F.col("partition").cast("bigint"), ROW_BITS) + F.col("row")
