"""Rounds of a small graph by the code of a lane, without Spark."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.toy_graph import EDGES, blocks, first_manifest, run_settings
from twhin_spark.errors import InputError
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.relay import Relay
from twhin_spark.training.rounds import merged, start_state
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.state_files import StateFile
from twhin_spark.training.workers.lane_task import LaneResult, LaneTask
from twhin_spark.training.workers.pair_result import PairResult


@pytest.fixture
def task(tmp_path: Path) -> LaneTask:
    run = run_settings(str(tmp_path))
    return LaneTask(run, Relay(rounds_of_epoch(4, 1), [run.train], lanes=1), start_state(first_manifest(run)))


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


def test_a_lane_without_edges_changes_no_vector(task: LaneTask) -> None:
    for batches in ([], [_batch().slice(0, 0)]):
        pair, files = _train(task, batches)
        assert (pair.edges, pair.relations) == ({}, {})
        assert {p: file.crc32 for p, file in files.items()} == {p: f.crc32 for p, f in enumerate(task.start.files)}


def test_a_lane_stops_if_another_does(tmp_path: Path) -> None:
    run = run_settings(str(tmp_path))
    relay = Relay(rounds_of_epoch(4, 4, seats=2), [run.train] * 4, lanes=2)
    task = LaneTask(run, relay, start_state(first_manifest(run)))
    told: list[str] = []

    def exchange(message: str) -> list[str]:
        told.append(message)
        return [message, "stop"]

    result = task.train(0, [], exchange)
    assert (len(told), len(result.files)) == (1, 1)


def test_a_damaged_state_file_stops_all_lanes(tmp_path: Path) -> None:
    run = run_settings(str(tmp_path))
    relay = Relay(rounds_of_epoch(4, 4, seats=2), [run.train] * 4, lanes=2)
    task = LaneTask(run, relay, start_state(first_manifest(run)))
    for file in task.start.files:
        (tmp_path / "runs" / "run" / "state" / file.name).write_bytes(b"")
    told: list[str] = []
    with pytest.raises(InputError, match="the state file is corrupt"):
        task.train(0, [_batch().slice(0, 1)], lambda message: told.append(message) or [])
    assert told == ["stop"]


def _train_epoch(output: Path, lanes: int, at_once: int, groups: int, slices: int) -> tuple[Manifest, int]:
    """Train an epoch by lanes in threads, in relays of some rounds; return the end and the edges trained."""
    run, partitions = run_settings(str(output)), groups * slices
    manifest = first_manifest(run, partitions)
    rounds = rounds_of_epoch(partitions, groups, seats=groups // 2, slices=slices)
    trained = 0
    for begin in range(0, len(rounds), at_once):
        relay = Relay(rounds[begin:][:at_once], [run.train] * len(rounds[begin:][:at_once]), lanes)
        results = _run_lanes(LaneTask(run, relay, start_state(manifest)), blocks(partitions))
        manifest = merged(manifest, relay, results)
        trained += sum(sum(report.edges.values()) for report in manifest.reports)
    return manifest, trained


def _run_lanes(task: LaneTask, rows: list[dict[str, object]]) -> list[LaneResult]:
    """Run the lanes of a relay in threads."""
    lanes = range(task.relay.width)
    batches, meeting, messages = _batches_of_lanes(task.relay, rows), threading.Barrier(len(lanes)), [""] * len(lanes)

    def run_lane(lane: int) -> LaneResult:
        def exchange(message: str) -> list[str]:
            messages[lane] = message
            meeting.wait(60)
            told = list(messages)
            meeting.wait(60)
            return told

        return task.train(lane, batches[lane], exchange)

    with ThreadPoolExecutor(len(lanes)) as pool:
        return list(pool.map(run_lane, lanes))


def _batches_of_lanes(relay: Relay, rows: list[dict[str, object]]) -> list[list[pa.RecordBatch]]:
    """Return the rows of each lane as Spark would send them: one in a batch, ordered by position."""
    placed: list[list[dict[str, Any]]] = [[] for _ in range(relay.width)]
    for number, training_round in enumerate(relay.rounds):
        for task, seat in enumerate(training_round.seats):
            inside = [p for s in training_round.slices_of(seat.resident) for p in training_round.partitions_of(s)]
            steps = [inside] if seat.inner else [[]]
            steps += [training_round.partitions_of(s) for s in training_round.visiting_slices(seat)]
            for step, others in enumerate(steps):
                for row in rows:
                    ends = row["source_partition"], row["target_partition"]
                    if any(a in inside and b in others for a, b in (ends, ends[::-1])):
                        placed[task % relay.width].append({"position": relay.position(number, task, step), **row})
    order = ("position", "source_partition", "target_partition", "block")
    for of_lane in placed:
        of_lane.sort(key=lambda row: [row[name] for name in order])
    return [[pa.RecordBatch.from_pylist([row]) for row in of_lane] for of_lane in placed]


@pytest.mark.parametrize(("groups", "slices"), [(4, 3), (6, 4), (5, 1)])
def test_neither_lanes_nor_relays_change_a_bit(tmp_path: Path, groups: int, slices: int) -> None:
    one, trained = _train_epoch(tmp_path / "one", lanes=1, at_once=1, groups=groups, slices=slices)
    assert trained == len(blocks(groups * slices)) * EDGES
    for number, (lanes, at_once) in enumerate([(1, 99), (2, 2), (9, 99), (9, 3)]):
        other, trained_too = _train_epoch(tmp_path / str(number), lanes, at_once, groups, slices)
        assert trained_too == trained
        assert [file.crc32 for file in other.partitions] == [file.crc32 for file in one.partitions], (lanes, at_once)
        assert other.relations == one.relations
