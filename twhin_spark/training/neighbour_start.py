"""First vectors of new entities: the means of their known neighbours' vectors. Planned on the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from twhin_spark.kernels.neighbour_vectors import SeenThrough, mean_of_neighbours

MOST_NEIGHBOURS = 200  # of an entity; of more, those with the least hashes
_ENTITY = ["entity_type", "entity_id"]
_ENTITIES_AT_ONCE = 2000  # about so many of one task, whose neighbours it has in memory
_SCHEMA = "entity_type STRING, entity_id STRING, vector ARRAY<FLOAT>"

Views = Mapping[tuple[str, str], SeenThrough]
"""For each relation and each end (source, target) how an entity at that end sees its neighbours."""


def neighbour_edges(edges: DataFrame, entities: DataFrame, known: DataFrame) -> DataFrame:
    """Return the edges between some entities and known ones, at most MOST_NEIGHBOURS of each entity.

    Parameters
    ----------
    edges
        Rows of the table `edges`; only those of the training split count.
    entities
        entity_type and entity_id of the entities.
    known
        entity_type, entity_id and vector of the known ones; none of `entities` may be among them.

    Returns
    -------
    DataFrame
        entity_type, entity_id, relation, side, other_type, other_id, weight, vector. `side` is the entity's end of the
        edge, and `vector` is that of the other end.
    """
    trained = edges.where(F.col("split") == "train")
    halves = [
        trained.select(
            F.col(f"{side}_type").alias("entity_type"),
            F.col(f"{side}_id").alias("entity_id"),
            "relation",
            F.lit(side).alias("side"),
            F.col(f"{other}_type").alias("other_type"),
            F.col(f"{other}_id").alias("other_id"),
            F.col("weight").cast("float").alias("weight"),
        )
        for side, other in (("source", "target"), ("target", "source"))
    ]
    others = known.select(
        F.col("entity_type").alias("other_type"), F.col("entity_id").alias("other_id"), F.col("vector")
    )
    rows = halves[0].unionByName(halves[1]).join(entities.select(*_ENTITY), _ENTITY)
    order = ("relation", "side", "other_type", "other_id")
    drawn = Window.partitionBy(*_ENTITY).orderBy(F.xxhash64(*_ENTITY, *order), *order)
    rows = rows.join(others, ["other_type", "other_id"]).withColumn("draw", F.row_number().over(drawn))
    return rows.where(F.col("draw") <= MOST_NEIGHBOURS).drop("draw")


def neighbour_means(rows: DataFrame, views: Views, count: int) -> DataFrame:
    """Return entity_type, entity_id and vector of the entities of `neighbour_edges`, of which there are about `count`.

    The tasks, their rows and the order of the sums depend on the entities alone, so the bits do, too.
    """
    return rows.groupBy(entity_buckets(count)).applyInArrow(_averager(views), _SCHEMA)


def entity_buckets(count: int) -> Column:
    """Return the bucket of an entity, for tasks of about _ENTITIES_AT_ONCE of `count` entities."""
    return F.pmod(F.xxhash64(*_ENTITY), F.lit(max(1, -(-count // _ENTITIES_AT_ONCE)))).alias("bucket")


def _averager(views: Views) -> Callable[[pa.Table], pa.Table]:
    def average(rows: pa.Table) -> pa.Table:
        """Return the vectors of one bucket's entities. Runs on workers."""
        order = (*_ENTITY, "relation", "side", "other_type", "other_id")
        rows = rows.sort_by([(name, "ascending") for name in order]).combine_chunks()
        return vectors_table(rows, *average_rows(rows, views))

    return average


def average_rows(rows: pa.Table, views: Views) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each entity (m,), and its mean vector, float32 (m, dim). The rows must be sorted."""
    vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    seen = np.empty_like(vectors)
    relation, side = (rows[name].to_numpy(zero_copy_only=False) for name in ("relation", "side"))
    for (name, end), view in views.items():
        of_view = np.flatnonzero((relation == name) & (side == end))
        seen[of_view] = view(vectors[of_view])
    keys = list(zip(*(rows[name].to_pylist() for name in _ENTITY), strict=True))
    first = np.array([i == 0 or keys[i] != keys[i - 1] for i in range(len(keys))])
    _, means = mean_of_neighbours(np.cumsum(first) - 1, rows["weight"].to_numpy(), seen)
    return np.flatnonzero(first), means


def vectors_table(rows: pa.Table, first: np.ndarray, vectors: np.ndarray) -> pa.Table:
    """Return the entities of these rows with their vectors."""
    starts = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    return rows.select(_ENTITY).take(first).append_column("vector", pa.ListArray.from_arrays(starts, vectors.ravel()))
