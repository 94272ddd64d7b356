"""One round of a small graph by the task's own code, without Spark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from twhin_spark.kernels.losses import Logistic
from twhin_spark.kernels.step import LossSettings
from twhin_spark.kernels.train import TrainSettings
from twhin_spark.training.relations import RelationSettings, initial_state
from twhin_spark.training.schedule import rounds_of_epoch
from twhin_spark.training.state import EntityState, RunFolder
from twhin_spark.training.task import RoundTask, RunSettings, TaskResult

USERS, DIM = 6, 8  # users in each partition
RELATIONS = (
    RelationSettings("follow", "user", "user", "translation", 1.0, two_sided=False),
    RelationSettings("like", "user", "tweet", "translation", 1.0, two_sided=True),
)
TRAIN_SETTINGS = TrainSettings(LossSettings(Logistic()), 16, 4, 0.1, 0.1)


def _block(source_partition: int, target_partition: int, number: int, task: int, seed: int = 0) -> pa.RecordBatch:
    rng = np.random.default_rng((seed, source_partition, target_partition, number))
    edges = 10
    return pa.RecordBatch.from_pylist(
        [
            {
                "task": task,
                "source_partition": source_partition,
                "target_partition": target_partition,
                "block": number,
                "edges": edges,
                "source": rng.integers(USERS, size=edges).astype("<i4").tobytes(),
                "target": rng.integers(USERS, size=edges).astype("<i4").tobytes(),
                "relation": np.sort(rng.integers(2, size=edges)).astype("<i2").tobytes(),
                "weight": np.ones(edges, "<f4").tobytes(),
            }
        ]
    )


@pytest.fixture
def task(tmp_path: Path) -> RoundTask:
    run = RunSettings(str(tmp_path), "run", 0, ("user", "tweet"), RELATIONS, TRAIN_SETTINGS)
    rng = np.random.default_rng(0)
    folder = RunFolder(run.output, run.run_id)
    files = []
    for partition in range(4):
        state = {
            name: EntityState(rng.normal(size=(USERS, DIM)).astype(np.float32), np.zeros(USERS, np.float32))
            for name in run.entity_types
        }
        files.append(folder.write_partition(f"p{partition}", state))
    this = rounds_of_epoch(4, 2, seed=0, epoch=0)[0]
    return RoundTask(run, this, files, {relation.name: initial_state(relation, DIM) for relation in RELATIONS})


def _blocks() -> list[pa.RecordBatch]:
    return [_block(i, j, number, 0) for i in range(4) for j in range(4) for number in range(2)]


def test_a_task_trains_every_edge_and_writes_its_partitions(task: RoundTask) -> None:
    result = task.train(0, _blocks())
    assert sum(result.edges.values()) == 4 * 4 * 2 * 10  # two groups: a single round has them all
    assert sorted(result.files) == [0, 1, 2, 3]
    assert set(result.relations) == {"follow", "like"}
    assert TaskResult.from_json(result.to_json()) == result


def test_the_order_of_blocks_and_batches_does_not_change_a_bit(task: RoundTask) -> None:
    first = task.train(0, _blocks())
    again = task.train(0, [pa.Table.from_batches(_blocks()[::-1]).combine_chunks().to_batches()[0]])
    assert {p: f.crc32 for p, f in first.files.items()} == {p: f.crc32 for p, f in again.files.items()}
    assert first.relations == again.relations


def test_a_task_without_edges_returns_no_row(task: RoundTask) -> None:
    assert list(task([])) == []
    assert list(task([_block(0, 0, 0, 0).slice(0, 0)])) == []


def test_a_damaged_state_file_is_a_line_in_the_result(task: RoundTask) -> None:
    (Path(task.run.output) / "runs" / "run" / "state" / task.files[2].name).write_bytes(b"")
    (row,) = list(task(_blocks()))
    error = TaskResult.from_json(row["result"][0].as_py()).error
    assert error is not None
    assert "the state file is corrupt" in error
