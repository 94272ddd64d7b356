"""Graphs of awkward shapes: all of their edges are trained, once an epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from twhin_spark.graph.packing import pack
from twhin_spark.kernels.gradients import LossSettings
from twhin_spark.kernels.losses import Logistic
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.tables.schemas import EDGE_BUCKETS, ddl
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.execution import Execution
from twhin_spark.training.relay import Relay
from twhin_spark.training.rounds import run_rounds
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import RelationSettings, initial_state
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState

DIM = 4
RELATIONS = (
    RelationSettings("common", "node", "node", "translation", 1.0, two_sided=False),
    RelationSettings("rare", "node", "node", "diagonal", 1.0, two_sided=True),
)


def _train(
    spark: SparkSession, output: Path, edges: np.ndarray, entities: int, partitions: int, groups: tuple[int, int]
) -> tuple[dict[str, int], list[np.ndarray]]:
    """One epoch over edges (n, 3): relation, source, target. Entity k is in partition k % 7 % partitions."""
    partition_of = np.arange(entities) % 7 % partitions
    row_of = np.array([np.count_nonzero(partition_of[:k] == partition_of[k]) for k in range(entities)])
    tables = []
    for i in range(partitions):
        for j in range(partitions):
            relation, source, target = edges[(partition_of[edges[:, 1:]] == (i, j)).all(axis=1)].T
            columns = {"source": row_of[source], "target": row_of[target], "relation": relation}
            tables.append(pack((i, j), pa.table({**columns, "weight": np.ones(len(source))}), 64))
    buckets = spark.createDataFrame(pa.concat_tables(tables).to_pylist(), ddl(EDGE_BUCKETS))
    settings = TrainSettings(LossSettings(Logistic()), 32, 16, 8, 0.1, 0.1)
    run = RunSettings(str(output), "run", 0, ("node",), RELATIONS, settings)
    folder = RunFolder(run.output, run.run_id)
    rng = np.random.default_rng(0)
    files = []
    for p in range(partitions):
        rows = np.count_nonzero(partition_of == p)
        state = EntityState(rng.normal(size=(rows, DIM)).astype(np.float32), np.zeros(rows, np.float32))
        files.append(folder.write_partition(f"p{p}", {"node": state}))
    relations = {relation.name: initial_state(relation, DIM) for relation in RELATIONS}
    manifest = Manifest("run", 1, -1, 0, False, groups[0], files, relations, "cpu", tasks=groups[1])
    trained: dict[str, int] = {}
    for training_round in rounds_of_epoch(partitions, groups[0], seats=groups[1]):
        relay = Relay([training_round], [settings], 2)
        manifest = run_rounds(buckets, run, relay, manifest, Execution())
        for name, count in manifest.reports[0].edges.items():
            trained[name] = trained.get(name, 0) + count
    return trained, [folder.read_partition(file, run.entity_types)["node"].vectors for file in manifest.partitions]


def _edges(entities: int, count: int, hub_share: float = 0.0) -> np.ndarray:
    """Distinct edges of relation 0, (n, 3); `hub_share` of them at entity 0."""
    rng = np.random.default_rng(0)
    source, target = rng.integers(entities, size=(2, count))
    source[: int(hub_share * count)] = 0
    return np.unique(np.stack([np.zeros(count, np.int64), source, target], axis=1), axis=0)


@pytest.mark.parametrize("groups", [(4, 2), (8, 2)])
def test_a_hub_an_empty_partition_and_a_relation_with_one_edge(
    spark: SparkSession, tmp_path: Path, groups: tuple[int, int]
) -> None:
    edges = _edges(entities=300, count=2000, hub_share=0.2)
    assert np.count_nonzero(edges[:, 1] == 0) > 0.1 * len(edges)
    edges = np.concatenate([edges, [[1, 5, 6]]])
    trained, vectors = _train(spark, tmp_path, edges, 300, 8, groups)  # the eighth partition is empty
    assert trained == {"common": len(edges) - 1, "rare": 1}
    assert len(vectors[7]) == 0
    assert all(np.isfinite(part).all() for part in vectors)


def test_more_partitions_than_entities(spark: SparkSession, tmp_path: Path) -> None:
    edges = _edges(entities=5, count=12)
    trained, vectors = _train(spark, tmp_path, edges, 5, 16, (8, 2))
    assert trained == {"common": len(edges)}
    assert sum(map(len, vectors)) == 5
