"""Reading of the held-out edges of a graph that training has not seen, with the locations of their ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twhin_spark.evaluation.queries import HeldOutEdges
from twhin_spark.graph.entity_location import location_column
from twhin_spark.logs.row_checks import SPLITS
from twhin_spark.tables.caching import broadcast_if_small, cache

HELD_OUT_SPLITS = tuple(split for split in SPLITS if split != "train")
HeldOutSplits = dict[tuple[str, str], HeldOutEdges]  # by relation and split
_EDGE = ["relation", "source_id", "target_id"]
_COLUMNS = {"source": np.int64, "target": np.int64, "source_connected": np.bool_, "target_connected": np.bool_}


def read_held_out_edges(edges: DataFrame, entities: DataFrame, relations: Sequence[str]) -> HeldOutSplits:
    """Read onto the driver the held-out edges that are no training edges of their relation: some 20 bytes for each.

    Parameters
    ----------
    edges, entities
        The tables `edges` and `entities` of one graph version.
    relations
        The graph's relations; each gets an entry for every held-out split, even if it has no edge there.
    """
    with ExitStack() as cached:
        held_out = cache(edges.where(F.col("split") != "train"), cached)
        count = held_out.count()
        if count == 0:  # Do not read the training edges, of which there may be many.
            none = HeldOutEdges(*(np.zeros(0, dtype) for dtype in _COLUMNS.values()))
            return {(relation, split): none for relation in relations for split in HELD_OUT_SPLITS}
        train = edges.where(F.col("split") == "train").select(_EDGE)
        repeated = train.join(broadcast_if_small(held_out.select(_EDGE), count), _EDGE, "left_semi")
        located = _located(held_out.join(repeated, _EDGE, "left_anti"), entities, relations)
    column = {name: located[name].to_numpy() for name in located.column_names}
    by_split: HeldOutSplits = {}
    for number, relation in enumerate(relations):
        for split_number, split in enumerate(HELD_OUT_SPLITS):
            rows = np.flatnonzero((column["relation"] == number) & (column["split"] == split_number))
            by_split[relation, split] = HeldOutEdges(*(column[name][rows] for name in _COLUMNS))
    return by_split


def _located(held_out: DataFrame, entities: DataFrame, relations: Sequence[str]) -> pa.Table:
    """Return of each edge the numbers of its relation and split, and `_COLUMNS`."""
    seen = entities.where(F.col("degree") > 0)

    def number_in(names: Sequence[str], column: str) -> Column:
        return (F.array_position(F.lit(list(names)), F.col(column)) - 1).cast("int").alias(column)

    def connected(degree: str, end: str) -> Column:
        count = F.coalesce(F.try_element_at(degree, F.col("relation")), F.lit(0))
        return (count > 0).alias(f"{end}_connected")

    return (
        held_out.join(_ends("source", seen, "out_degree"), ["source_type", "source_id"], "left")
        .join(_ends("target", seen, "in_degree"), ["target_type", "target_id"], "left")
        .select(
            number_in(relations, "relation"),
            number_in(HELD_OUT_SPLITS, "split"),
            F.coalesce("source", F.lit(-1)).alias("source"),
            F.coalesce("target", F.lit(-1)).alias("target"),
            connected("out_degree", "source"),
            connected("in_degree", "target"),
        )
        .toArrow()
    )


def _ends(end: str, entities: DataFrame, degree: str) -> DataFrame:
    """Return the entities as one end of an edge: type, id, location and degree."""
    entity_type, entity_id = F.col("entity_type").alias(f"{end}_type"), F.col("entity_id").alias(f"{end}_id")
    return entities.select(entity_type, entity_id, location_column().alias(end), degree)
