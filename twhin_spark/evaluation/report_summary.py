"""Summaries of the graph and the training for the report, read from tables and state files on the driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.kernels.arrays import Floats
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder

# By entity type, the degrees that occur (n,), ascending, and the number of entities with each (n,).
DegreeCounts = dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]

_SAMPLED_PARTITIONS = 8
_SAMPLED_ENTITIES = 1500  # of each type


@dataclass(frozen=True)
class EdgeCounts:
    """The number of edges of one relation by split, and of the events that all of them are made of."""

    train: int
    validation: int
    test: int
    events: int


def edge_counts(edges: DataFrame) -> dict[str, EdgeCounts]:
    """Count the rows of the table `edges` by relation."""
    splits = {split: F.count_if(F.col("split") == split) for split in ("train", "validation", "test")}
    columns = [count.alias(split) for split, count in splits.items()]
    rows = edges.groupBy("relation").agg(*columns, F.sum("event_count").alias("events")).collect()
    return {row["relation"]: EdgeCounts(*(row[name] for name in (*splits, "events"))) for row in rows}


def degree_counts(entities: DataFrame, types: Sequence[str]) -> DegreeCounts:
    """Count the entities that have training edges, rows of the table `entities`, by type and degree."""
    counted = entities.where(F.col("degree") > 0).groupBy("entity_type", "degree").count().orderBy("degree").collect()
    by_type: DegreeCounts = {}
    for entity_type in types:
        pairs = [(row["degree"], row["count"]) for row in counted if row["entity_type"] == entity_type]
        degrees, counts = np.array(pairs, np.int64).reshape(-1, 2).T
        by_type[entity_type] = degrees, counts
    return by_type


def largest_relations(relations: Iterable[str], edges: Mapping[str, EdgeCounts], count: int) -> list[str]:
    """Return the `count` relations with the most training edges, sorted by name."""
    trained = {name: edges[name].train if name in edges else 0 for name in relations}
    return sorted(sorted(trained, key=lambda name: (-trained[name], name))[:count])


def loss_by_epoch(rounds: DataFrame, relations: Sequence[str]) -> dict[str, list[float]]:
    """Return the mean loss of an edge by relation and epoch, from one run's rows of `training_rounds`."""
    loss = F.sum(F.col("loss") * F.col("edges")) / F.sum("edges")
    trained = rounds.where("edges > 0")
    rows = trained.groupBy("relation", "epoch").agg(loss.alias("loss")).orderBy("epoch").collect()
    return {name: [row["loss"] for row in rows if row["relation"] == name] for name in relations}


@dataclass(frozen=True)
class Projection:
    """Entities on the two principal axes of their vectors.

    points: by entity type, (n, 2). share: each axis's share of the variance, (2,).
    """

    points: Mapping[str, Floats]
    share: Floats


def project_entities(
    entities: DataFrame, folder: RunFolder, manifest: Manifest, types: Sequence[str], seed: int
) -> Projection | None:
    """Project a seeded sample of entities with training edges; return None if vectors have one dimension.

    The sample is drawn from the first partitions alone, to read few state files. That is fair, as an entity's partition
    is a hash of its id.
    """
    seen = entities.where((F.col("degree") > 0) & (F.col("partition") < _SAMPLED_PARTITIONS))
    rows: dict[tuple[int, str], list[int]] = {}
    for entity_type in types:
        draw = seen.where(F.col("entity_type") == entity_type).orderBy(
            F.xxhash64("entity_id", F.lit(seed)), "entity_id"
        )
        for row in draw.select("partition", "row").limit(_SAMPLED_ENTITIES).collect():
            rows.setdefault((row["partition"], entity_type), []).append(row["row"])
    sample: dict[str, list[Floats]] = {entity_type: [] for entity_type in types}
    for partition in sorted({partition for partition, _ in rows}):
        state = folder.read_partition(manifest.partitions[partition], types)
        for entity_type in types:
            sampled = rows.get((partition, entity_type), [])
            sample[entity_type].append(state[entity_type].vectors[sampled])
    vectors = {entity_type: np.concatenate(parts) for entity_type, parts in sample.items() if sum(map(len, parts))}
    return principal_axes(vectors) if vectors else None


def principal_axes(vectors: Mapping[str, Floats]) -> Projection | None:
    """Project vectors (n, dim), by type, on the first two principal axes of all; return None if there are no two."""
    together = np.concatenate(list(vectors.values())).astype(np.float64)  # (total, dim)
    if together.shape[1] < 2 or len(together) < 2:
        return None
    centre = together.mean(axis=0)
    _, singular, axes = np.linalg.svd(together - centre, full_matrices=False)
    variance = singular**2
    points = {entity_type: (part - centre) @ axes[:2].T for entity_type, part in vectors.items()}
    return Projection(points, variance[:2] / max(variance.sum(), np.finfo(float).tiny))
