"""Rounds of a small graph by the code of a lane, without Spark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.toy_graph import EDGES, blocks, first_manifest, run_settings
from twhin_spark.errors import InputError
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.relay import Relay, plan_lanes
from twhin_spark.training.rounds import start_state
from twhin_spark.training.state.state_files import StateFile
from twhin_spark.training.workers.lane_task import LaneResult, LaneTask
from twhin_spark.training.workers.pair_result import PairResult


@pytest.fixture
def task(tmp_path: Path) -> LaneTask:
    run = run_settings(str(tmp_path))
    rounds = rounds_of_epoch(4, 2, 2, seed=0, epoch=0)
    return LaneTask(run, Relay(rounds, [run.train], plan_lanes(rounds, 1)), start_state(first_manifest(run)))


def _batch() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"position": 0, **row} for row in blocks()])


def _alone(message: str) -> list[str]:
    raise AssertionError(f"a relay of one round exchanges nothing: {message}")


def _train(task: LaneTask, batches: list[pa.RecordBatch]) -> tuple[PairResult, dict[int, StateFile]]:
    """Return the result of the only pair of the only round, without what it used, and its files."""
    result = task.train(0, batches, _alone)
    assert LaneResult.from_json(result.to_json()) == result
    (pair,), (files,) = result.pairs, result.files
    return replace(pair, usage=None), files


def test_a_lane_trains_every_edge_and_writes_its_partitions(task: LaneTask) -> None:
    pair, files = _train(task, [_batch()])
    assert sum(pair.edges.values()) == _batch().num_rows * EDGES  # two groups: a single round has them all
    assert sorted(files) == [0, 1, 2, 3]
    assert set(pair.relations) == {"follow", "like"}


def test_a_relation_is_trained_as_often_as_its_sampling_says(task: LaneTask) -> None:
    follow, like = task.run.relations
    once, _ = _train(task, [_batch()])
    run = replace(task.run, relations=(replace(follow, sampling=2), replace(like, sampling=0.5)))
    pair, _ = _train(replace(task, run=run), [_batch()])
    assert pair.edges["follow"] == 2 * once.edges["follow"]
    assert 0 < pair.edges["like"] < once.edges["like"]
    again, _ = _train(replace(task, run=run), [_batch().slice(k, 1) for k in range(_batch().num_rows)])
    assert again == pair


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_batches_nor_threads_change_a_bit(task: LaneTask, threads: int) -> None:
    first, files = _train(task, [_batch()])
    single_rows = [_batch().slice(k, 1) for k in range(_batch().num_rows)]
    again, other_files = _train(replace(task, threads=threads), single_rows)
    assert {p: f.crc32 for p, f in files.items()} == {p: f.crc32 for p, f in other_files.items()}
    assert first == again


def test_a_lane_without_edges_has_nothing_to_tell(task: LaneTask) -> None:
    for batches in ([], [_batch().slice(0, 0)]):
        assert task.train(0, batches, _alone) == LaneResult([], [{}])


def test_a_lane_stops_if_another_does(tmp_path: Path) -> None:
    run = run_settings(str(tmp_path))
    rounds = rounds_of_epoch(4, 4, 4, seed=0, epoch=0)
    task = LaneTask(run, Relay(rounds, [run.train] * 3, plan_lanes(rounds, 2)), start_state(first_manifest(run)))
    told: list[str] = []

    def exchange(message: str) -> list[str]:
        told.append(message)
        return [message, "stop"]

    result = task.train(0, [], exchange)
    assert (len(told), len(result.files)) == (1, 1)


def test_a_damaged_state_file_stops_all_lanes(tmp_path: Path) -> None:
    run = run_settings(str(tmp_path))
    rounds = rounds_of_epoch(4, 4, 4, seed=0, epoch=0)
    task = LaneTask(run, Relay(rounds, [run.train] * 3, plan_lanes(rounds, 2)), start_state(first_manifest(run)))
    for file in task.start.files:
        (tmp_path / "runs" / "run" / "state" / file.name).write_bytes(b"")
    told: list[str] = []
    with pytest.raises(InputError, match="the state file is corrupt"):
        task.train(0, [_batch().slice(0, 1)], lambda message: told.append(message) or [])
    assert told == ["stop"]
