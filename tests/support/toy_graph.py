"""A small graph of users and tweets in four partitions, for tests of tasks and rounds."""

from __future__ import annotations

import numpy as np

from twhin_spark.kernels.gradients import LossSettings
from twhin_spark.kernels.losses import Logistic
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import RelationSettings, initial_state
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState

PARTITIONS, ROWS, DIM, EDGES = 4, 6, 8, 10  # rows of each type in a partition, edges in a block
RELATIONS = (
    RelationSettings("follow", "user", "user", "translation", 1.0, two_sided=False),
    RelationSettings("like", "user", "tweet", "translation", 1.0, two_sided=True),
)


def run_settings(output: str, learning_rate: float = 0.1) -> RunSettings:
    train = TrainSettings(LossSettings(Logistic()), 16, 8, 4, learning_rate, learning_rate)
    return RunSettings(output, "run", 0, ("user", "tweet"), RELATIONS, train)


def first_manifest(run: RunSettings, partitions: int = PARTITIONS) -> Manifest:
    """Write and commit random vectors."""
    rng = np.random.default_rng(0)
    folder = RunFolder(run.output, run.run_id)
    files = []
    for partition in range(partitions):
        state = {
            name: EntityState(rng.normal(size=(ROWS, DIM)).astype(np.float32), np.zeros(ROWS, np.float32))
            for name in run.entity_types
        }
        files.append(folder.write_partition(f"p{partition}", state))
    relations = {relation.name: initial_state(relation, DIM) for relation in run.relations}
    manifest = Manifest(run.run_id, 1, -1, 0, False, 2, files, relations, "cpu")
    folder.commit(manifest)
    return manifest


def blocks(partitions: int = PARTITIONS) -> list[dict[str, object]]:
    """Return rows of edge_buckets, two for each bucket."""
    rows: list[dict[str, object]] = []
    for i in range(partitions):
        for j in range(partitions):
            for number in range(2):
                rng = np.random.default_rng((i, j, number))
                rows.append(
                    {
                        "source_partition": i,
                        "target_partition": j,
                        "block": number,
                        "edges": EDGES,
                        "source": rng.integers(ROWS, size=EDGES).astype("<i4").tobytes(),
                        "target": rng.integers(ROWS, size=EDGES).astype("<i4").tobytes(),
                        "relation": np.sort(rng.integers(2, size=EDGES)).astype("<i2").tobytes(),
                        "weight": np.ones(EDGES, "<f4").tobytes(),
                    }
                )
    return rows
