"""What the report tells of a run beside its metrics, read from the tables. Runs on the driver."""

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

# By entity type, the degrees that occur (n,), ascending, and the number of entities of each (n,).
Degrees = dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]

_SAMPLED_PARTITIONS = 8
_SAMPLE = 1500  # entities of each type


@dataclass(frozen=True)
class EdgeCounts:
    """Edges of one relation by split, and the events behind all of them."""

    train: int
    validation: int
    test: int
    events: int


def edge_counts(edges: DataFrame) -> dict[str, EdgeCounts]:
    """By relation, from the table `edges`."""
    splits = {split: F.count_if(F.col("split") == split) for split in ("train", "validation", "test")}
    columns = [count.alias(split) for split, count in splits.items()]
    rows = edges.groupBy("relation").agg(*columns, F.sum("event_count").alias("events")).collect()
    return {row["relation"]: EdgeCounts(*(row[name] for name in (*splits, "events"))) for row in rows}


def degree_counts(entities: DataFrame, types: Sequence[str]) -> Degrees:
    """Of the entities that have training edges, from the table `entities`."""
    counted = entities.where(F.col("degree") > 0).groupBy("entity_type", "degree").count().orderBy("degree").collect()
    found: Degrees = {}
    for kind in types:
        pairs = [(row["degree"], row["count"]) for row in counted if row["entity_type"] == kind]
        degrees, counts = np.array(pairs, np.int64).reshape(-1, 2).T
        found[kind] = degrees, counts
    return found


def largest_relations(relations: Iterable[str], edges: Mapping[str, EdgeCounts], count: int) -> list[str]:
    """The relations with the most training edges, so many of them, by name."""
    trained = {name: edges[name].train if name in edges else 0 for name in relations}
    return sorted(sorted(trained, key=lambda name: (-trained[name], name))[:count])


def loss_by_epoch(rounds: DataFrame, relations: Sequence[str]) -> dict[str, list[float]]:
    """By relation, the mean loss of an edge in each epoch, from the rows of `training_rounds` of one run."""
    loss = F.sum(F.col("loss") * F.col("edges")) / F.sum("edges")
    trained = rounds.where("edges > 0")
    rows = trained.groupBy("relation", "epoch").agg(loss.alias("loss")).orderBy("epoch").collect()
    return {name: [row["loss"] for row in rows if row["relation"] == name] for name in relations}


@dataclass(frozen=True)
class Projection:
    """points: by entity type, (n, 2), on the two principal axes. share: of the variance that each axis has, (2,)."""

    points: Mapping[str, Floats]
    share: Floats


def project(
    entities: DataFrame, folder: RunFolder, manifest: Manifest, types: Sequence[str], seed: int
) -> Projection | None:
    """The principal components of a seeded sample of entities; None for vectors of dimension 1.

    The partition is a hash of the entity, so the entities of some partitions are a fair sample of all.
    """
    seen = entities.where((F.col("degree") > 0) & (F.col("partition") < _SAMPLED_PARTITIONS))
    rows: dict[tuple[int, str], list[int]] = {}
    for kind in types:
        draw = seen.where(F.col("entity_type") == kind).orderBy(F.xxhash64("entity_id", F.lit(seed)), "entity_id")
        for row in draw.select("partition", "row").limit(_SAMPLE).collect():
            rows.setdefault((row["partition"], kind), []).append(row["row"])
    sample: dict[str, list[Floats]] = {kind: [] for kind in types}
    for partition in sorted({partition for partition, _ in rows}):
        state = folder.read_partition(manifest.partitions[partition], types)
        for kind in types:
            sample[kind].append(state[kind].vectors[rows.get((partition, kind), [])])
    vectors = {kind: np.concatenate(parts) for kind, parts in sample.items() if sum(map(len, parts))}
    return principal_axes(vectors) if vectors else None


def principal_axes(vectors: Mapping[str, Floats]) -> Projection | None:
    """Projects vectors (n, dim), by type, on the first two principal axes of all of them."""
    everything = np.concatenate(list(vectors.values())).astype(np.float64)  # (total, dim)
    if everything.shape[1] < 2 or len(everything) < 2:
        return None
    centre = everything.mean(axis=0)
    _, singular, axes = np.linalg.svd(everything - centre, full_matrices=False)
    variance = singular**2
    points = {kind: (part - centre) @ axes[:2].T for kind, part in vectors.items()}
    return Projection(points, variance[:2] / max(variance.sum(), np.finfo(float).tiny))
