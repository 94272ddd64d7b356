"""Fold-in: vectors for entities of the latest graph that the current version does not have, appended to it.

No known vector changes. The rows are flagged, and the next training replaces them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError, TwhinError
from twhin_spark.graph.graph_version import latest_graph
from twhin_spark.kernels.arrays import Floats
from twhin_spark.publishing.fold_in_task import SCHEMA, FoldInTask
from twhin_spark.publishing.version_index import index_versions
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, EMBEDDINGS, ENTITIES, MODEL_VERSIONS
from twhin_spark.training.neighbour_start import (
    entity_buckets,
    neighbour_edges,
    neighbour_means,
)
from twhin_spark.training.settings import train_settings
from twhin_spark.training.warm_start import views
from twhin_spark.versions.model_version import current_version, read_relations
from twhin_spark.versions.vector_columns import ENTITY

NEGATIVES = 2000  # known entities of each type that every task takes as negatives, those with the least hashes


@dataclass(frozen=True)
class FoldInResult:
    """What was folded into which version: entities by type, and the Delta version of `embeddings` that has them."""

    model_version: str
    entities: dict[str, int]
    table_version: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "model_version": self.model_version,
            "entities": self.entities,
            "table_version": self.table_version,
        }


def fold_in(
    spark: SparkSession, config: Config, progress: Callable[[str], None], *, fast: bool = False
) -> FoldInResult:
    """Append vectors for the new entities of the latest graph to the current version, in one commit.

    New are the entities that have a training edge there, to an entity of the version, and no vector in it.

    Parameters
    ----------
    spark, config, progress
        The session, the config, and a function that prints a line.
    fast
        Take the mean of the neighbours' vectors, seen through the relations, without gradient steps.

    Raises
    ------
    InputError
        Nothing is published, or there is no graph.
    TwhinError
        Another job wrote `embeddings` at the same time. Nothing is appended then.
    """
    store = TableStore(spark, config.output)
    graph, version, parent = latest_graph(store), current_version(store), store.version(EMBEDDINGS)
    if version is None:
        raise InputError(f"fold-in: no version is published in {store.path(EMBEDDINGS)}; publish a run first")
    index_versions(store)
    relations = read_relations(store, version)
    former = store.read(EMBEDDINGS, version.table_version)
    known = former.select(*ENTITY, F.col("embedding").alias("vector"))
    degrees = store.read(ENTITIES, graph.tables["entities"]).where("degree > 0").select(*ENTITY, "degree")
    new = degrees.join(known.select(*ENTITY), ENTITY, "left_anti")
    edges = store.read(EDGES, graph.tables["edges"]).where(F.col("relation").isin(list(relations)))
    neighbours, count = neighbour_edges(edges, new, known), new.count()
    seen = views(relations)
    if fast:
        vectors = neighbour_means(neighbours, seen, count)
    else:
        trained_by = _training_config(store, config, version.name)
        task = FoldInTask(
            seen,
            {name: relation for name, relation in relations.items() if name in trained_by.relations},
            {name: trained_by.relations[name].weight for name in relations if name in trained_by.relations},
            train_settings(trained_by),
            _negatives(known),
            trained_by.training.seed,
        )
        vectors = neighbours.groupBy(entity_buckets(count)).applyInArrow(task.function(), SCHEMA)
    rows = vectors.join(new, ENTITY).select(
        *ENTITY,
        F.col("vector").alias("embedding"),
        F.sqrt(F.aggregate("vector", F.lit(0.0), lambda total, x: total + x * x)).alias("norm"),
        "degree",
        F.lit(version.name).alias("model_version"),
        F.lit("folded_in").alias("origin"),
        F.lit(None).alias("departed_at"),
    )
    rows = rows.cache()
    try:
        counts = {row["entity_type"]: row["count"] for row in rows.groupBy("entity_type").count().collect()}
        if not counts:
            progress(f"fold-in: version {version.name} has a vector for every entity that has a known neighbour")
            return FoldInResult(version.name, {}, version.table_version)
        about = {"model_version": version.name, "folded_in": counts, "from_graph": graph.graph_id}
        committed = store.commit_after(EMBEDDINGS, rows, parent, mode="append", user_metadata=about)
    finally:
        rows.unpersist()
    if committed is None:
        raise TwhinError(f"fold-in: another job wrote {store.path(EMBEDDINGS)} at the same time; run fold-in again")
    index_versions(store)
    progress(f"folded {sum(counts.values()):,} entities into {version.name}, as version {committed} of embeddings")
    return FoldInResult(version.name, dict(sorted(counts.items())), committed)


def _training_config(store: TableStore, config: Config, model_version: str) -> Config:
    """Return the config that the version was trained with, if it is stored and can still be read."""
    row = store.read(MODEL_VERSIONS).where(F.col("model_version") == model_version).select("config").first()
    if row is None or row["config"] is None:
        return config
    try:
        return Config.model_validate(json.loads(row["config"]))
    except ValueError:
        return config


def _negatives(known: DataFrame) -> dict[str, Floats]:
    """Return the vectors of some known entities of each type, (n, dim), always the same."""
    order = Window.partitionBy("entity_type").orderBy(F.xxhash64(*ENTITY), "entity_id")
    drawn = known.withColumn("place", F.row_number().over(order)).where(F.col("place") <= NEGATIVES)
    vectors: dict[str, list[list[float]]] = {}
    for row in drawn.orderBy("entity_type", "place").collect():
        vectors.setdefault(row["entity_type"], []).append(row["vector"])
    return {name: np.array(rows, np.float32) for name, rows in vectors.items()}
