"""One round of a small graph by the code of its task, without Spark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.toy_graph import EDGES, blocks, first_manifest, run_settings
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.rounds import start_state
from twhin_spark.training.workers.round_task import RoundTask, RoundTaskResult


@pytest.fixture
def task(tmp_path: Path) -> RoundTask:
    run = run_settings(str(tmp_path))
    manifest = first_manifest(run)
    return RoundTask(run, rounds_of_epoch(4, 2, 2, seed=0, epoch=0)[0], start_state(manifest))


def _batch() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"task": 0, "step": 0, **row} for row in blocks()])


def test_a_task_trains_every_edge_and_writes_its_partitions(task: RoundTask) -> None:
    result = task.train(0, [_batch()])
    assert sum(result.edges.values()) == _batch().num_rows * EDGES  # two groups: a single round has them all
    assert sorted(result.files) == [0, 1, 2, 3]
    assert set(result.relations) == {"follow", "like"}
    assert RoundTaskResult.from_json(result.to_json()) == result


def test_a_relation_is_trained_as_often_as_its_sampling_says(task: RoundTask) -> None:
    follow, like = task.run.relations
    once = task.train(0, [_batch()])
    run = replace(task.run, relations=(replace(follow, sampling=2), replace(like, sampling=0.5)))
    result = replace(task, run=run).train(0, [_batch()])
    assert result.edges["follow"] == 2 * once.edges["follow"]
    assert 0 < result.edges["like"] < once.edges["like"]
    again = replace(task, run=run).train(0, [_batch().slice(k, 1) for k in range(_batch().num_rows)])
    assert (again.edges, again.relations) == (result.edges, result.relations)


def test_how_the_blocks_are_cut_into_batches_does_not_change_a_bit(task: RoundTask) -> None:
    first = task.train(0, [_batch()])
    again = task.train(0, [_batch().slice(k, 1) for k in range(_batch().num_rows)])
    assert {p: f.crc32 for p, f in first.files.items()} == {p: f.crc32 for p, f in again.files.items()}
    assert first.relations == again.relations


def test_a_task_without_edges_returns_no_row(task: RoundTask) -> None:
    assert list(task([])) == []
    assert list(task([_batch().slice(0, 0)])) == []


def test_a_damaged_state_file_is_a_line_in_the_result(task: RoundTask) -> None:
    (Path(task.run.output) / "runs" / "run" / "state" / task.start.files[2].name).write_bytes(b"")
    (row,) = list(task([_batch()]))
    error, error_class = (row[name][0].as_py() for name in ("error", "error_class"))
    assert "the state file is corrupt" in error
    assert error_class == "InputError"
