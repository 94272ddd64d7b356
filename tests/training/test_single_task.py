"""Several epochs in one task: the same bits, decisions and kept state, however they are cut into tasks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.support.toy_graph import EDGES, PARTITIONS, ROWS, blocks, first_manifest, run_settings
from twhin_spark.graph.entity_location import location_of
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.rounds import start_state
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.validation_sample import ValidationSample
from twhin_spark.training.validation.early_stopping import StoppingRule
from twhin_spark.training.workers.single_task import SingleTask, SingleTaskResult

NO_RULE = StoppingRule("monitor_mrr", None, 0.0, keep_best=False)


def _sample() -> ValidationSample:
    rng = np.random.default_rng(3)
    locations = np.concatenate([location_of(p, np.arange(ROWS)) for p in range(PARTITIONS)])
    none = np.empty(0, np.int64)
    source, target = rng.choice(locations, (2, 20))
    return ValidationSample(np.zeros(20, np.int16), source, target, np.ones(20, np.float32), none, none)


def _train(
    output: Path, cut: list[int], rule: StoppingRule = NO_RULE, sampling: float = 1
) -> tuple[Manifest, list[SingleTaskResult]]:
    """Train tasks of so many epochs, one after the other, with falling learning rates."""
    run = run_settings(str(output))
    run = replace(run, relations=tuple(replace(relation, sampling=sampling) for relation in run.relations))
    manifest = first_manifest(run)
    RunFolder(run.output, run.run_id).write_validation_sample(_sample())
    first, results = 0, []
    for count in cut:
        rounds = [rounds_of_epoch(PARTITIONS, 1, epoch=epoch)[0] for epoch in range(first, first + count)]
        settings = [
            replace(run.train, entity_learning_rate=0.1 / (1 + training_round.epoch)) for training_round in rounds
        ]
        task = SingleTask(run, rounds, settings, start_state(manifest), rule, manifest.history)
        batch = pa.RecordBatch.from_pylist([{"position": 0, **row} for row in blocks()])
        (row,) = task([batch])
        assert row["error"][0].as_py() is None
        result = SingleTaskResult.from_json(row["result"][0].as_py())
        results.append(result)
        manifest = replace(
            manifest,
            partitions=[result.files[p] for p in range(PARTITIONS)],
            relations=result.relations,
            history=result.history,
            best=result.best or manifest.best,
        )
        first += count
        if rule.ends(manifest.history):
            break
    return manifest, results


def _bits(manifest: Manifest) -> object:
    best = manifest.best and (manifest.best.epoch, [file.crc32 for file in manifest.best.partitions])
    return [file.crc32 for file in manifest.partitions], manifest.relations, manifest.history, best


def test_how_many_epochs_a_task_trains_changes_no_bit(tmp_path: Path) -> None:
    rule = StoppingRule("monitor_mrr", None, 0.0, keep_best=True)
    one, (result,) = _train(tmp_path / "one", [4], rule)
    several, results = _train(tmp_path / "several", [1, 2, 1], rule)
    assert _bits(one) == _bits(several)
    assert [report.epoch for report in result.reports] == [0, 1, 2, 3]
    for ours, theirs in zip(result.reports, [r for each in results for r in each.reports], strict=True):
        assert ours.held_out is not None
        assert theirs.held_out is not None
        assert (ours.loss, ours.edges) == (theirs.loss, theirs.edges)
        assert ours.held_out.loss == theirs.held_out.loss
        assert sum(ours.edges.values()) == len(blocks()) * EDGES


def test_an_epoch_draws_anew_from_all_edges_however_epochs_are_cut_into_tasks(tmp_path: Path) -> None:
    one, (result,) = _train(tmp_path / "one", [4], sampling=0.5)
    several, _ = _train(tmp_path / "several", [1, 3], sampling=0.5)
    assert _bits(one) == _bits(several)
    counts = [sum(report.edges.values()) for report in result.reports]
    assert len(set(counts)) > 1
    assert 0.4 < np.mean(counts) / (len(blocks()) * EDGES) < 0.6


@pytest.mark.parametrize("cut", [[9], [1] * 9, [4, 5]])
def test_training_ends_early_at_the_same_epoch_and_the_best_state_is_kept(tmp_path: Path, cut: list[int]) -> None:
    # An improvement that can't be had: the second epoch without one is the third.
    manifest, results = _train(tmp_path / "early", cut, StoppingRule("held_out_loss", 2, 1e9, keep_best=True))
    assert sum(len(result.reports) for result in results) == len(manifest.history) == 3
    assert manifest.best is not None
    assert manifest.best.epoch == int(np.argmin(manifest.history))
    until_then, _ = _train(tmp_path / "best", [manifest.best.epoch + 1])
    assert [f.crc32 for f in manifest.best.partitions] == [f.crc32 for f in until_then.partitions]
    assert manifest.best.relations == until_then.relations
    folder = RunFolder(str(tmp_path / "early"), "run")
    for file in (*manifest.partitions, *manifest.best.partitions):
        folder.read_partition(file, ("user", "tweet"))


def test_divergence_names_the_epoch(tmp_path: Path) -> None:
    run = run_settings(str(tmp_path))
    manifest = first_manifest(run)
    rounds = [rounds_of_epoch(PARTITIONS, 1, epoch=epoch)[0] for epoch in range(4)]
    settings = [replace(run.train, entity_learning_rate=rate) for rate in (0.1, 0.1, 1e30, 1e30)]
    task = SingleTask(run, rounds, settings, start_state(manifest), NO_RULE, [])
    batch = pa.RecordBatch.from_pylist([{"position": 0, **row} for row in blocks()])
    result = task.train([batch])
    assert result.diverged in ("follow", "like")
    assert result.diverged_in in (2, 3)


def test_a_damaged_file_is_a_line(tmp_path: Path) -> None:
    run = run_settings(str(tmp_path))
    manifest = first_manifest(run)
    (tmp_path / "runs" / "run" / "state" / manifest.partitions[1].name).write_bytes(b"")
    rounds = rounds_of_epoch(PARTITIONS, 1)
    task = SingleTask(run, rounds, [run.train], start_state(manifest), NO_RULE, [])
    (row,) = task([pa.RecordBatch.from_pylist([{"position": 0, **row} for row in blocks()])])
    result, error, error_class = (row[name][0].as_py() for name in ("result", "error", "error_class"))
    assert f"{manifest.partitions[1].name}: the state file is corrupt: it has 0 bytes" in error
    assert error_class == "InputError"
    assert result is None


def test_a_task_without_edges_returns_no_row(tmp_path: Path) -> None:
    run = run_settings(str(tmp_path))
    manifest = first_manifest(run)
    rounds = rounds_of_epoch(PARTITIONS, 1)
    assert list(SingleTask(run, rounds, [run.train], start_state(manifest), NO_RULE, [])([])) == []
