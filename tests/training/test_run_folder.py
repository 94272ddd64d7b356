from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twhin_spark.errors import InputError, TrainingError
from twhin_spark.training.state.manifest import BestEpoch, Manifest
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.round_report import RoundReport, ValidationResult
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile, state_name

TYPES = ("user", "tweet")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(str(tmp_path), "run")


def _partition(rows: int) -> dict[str, EntityState]:
    rng = np.random.default_rng(rows)
    return {
        name: EntityState(rng.normal(size=(n, 4)).astype(np.float32), rng.random(n).astype(np.float32))
        for name, n in zip(TYPES, (rows, 2 * rows), strict=True)
    }


def _manifest(files: list[StateFile]) -> Manifest:
    relations = {"like": RelationState({"target": [0.5]}, {"target": [0.0]})}
    return Manifest("run", 1, 0, 0, False, 1, files, relations, "cpu")


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_partition_comes_back_as_it_was(folder: RunFolder, rows: int) -> None:
    written = _partition(rows)
    read = folder.read_partition(folder.write_partition("p0", written), TYPES)
    for name in TYPES:
        np.testing.assert_array_equal(read[name].vectors, written[name].vectors)
        np.testing.assert_array_equal(read[name].accumulators, written[name].accumulators)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_a_damaged_file_is_one_clear_line(folder: RunFolder, damage: str) -> None:
    file = folder.write_partition("p0", _partition(7))
    path = Path(folder.root) / "state" / "p0"
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:-1])
    elif damage == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.unlink()
    with pytest.raises(InputError, match=r"state/p0: the state file is (corrupt|gone).*train again$"):
        folder.read_partition(file, TYPES)


def test_the_latest_commit_counts_and_garbage_is_swept(folder: RunFolder) -> None:
    assert folder.latest() is None
    listed = state_name(0, 2, "e00001-r00000-0123456789ab")
    best = state_name(0, 1, "e00000-r00000-0123456789ab")
    later = state_name(0, 3, "e00001-r00000-0123456789ab")  # of a driver that has taken over
    garbage = [state_name(0, claim, f"e00001-r00000-{claim}23456789abc") for claim in (1, 2)]
    files = {name: folder.write_partition(name, _partition(1)) for name in (listed, best, later, *garbage)}
    foreign = Path(folder.root) / "state" / "notes.txt"
    foreign.write_text("not ours")
    folder.commit(_manifest([files[best]]))
    latest = replace(_manifest([files[listed]]), fence=2, epoch=10, complete=True, best=BestEpoch(0, [files[best]], {}))
    folder.commit(replace(latest, epoch=9))
    folder.commit(latest)
    assert folder.latest() == latest
    folder.sweep(latest)
    assert {path.name for path in foreign.parent.iterdir()} == {listed, best, later, foreign.name}
    assert folder.latest() == latest


def test_the_best_epoch_is_what_is_kept() -> None:
    last = _manifest([StateFile("last", [1], 4, 0)])
    assert last.kept == last
    relations = {"like": RelationState({"target": [0.25]}, {"target": [0.0]})}
    best = BestEpoch(3, [StateFile("best", [1], 4, 0)], relations)
    kept = replace(last, epoch=7, best=best).kept
    assert (kept.epoch, kept.partitions, kept.relations) == (3, best.partitions, relations)


def test_the_highest_claim_counts_and_ends_the_one_before(folder: RunFolder) -> None:
    old = replace(_manifest([]), epoch=3, round=2)
    folder.commit(old)
    taken_over = replace(old, fence=2)
    folder.commit(taken_over)
    with pytest.raises(TrainingError, match="run run was taken over by another training"):
        folder.commit(replace(old, epoch=4))
    assert folder.latest() == taken_over
    folder.forget(before=2)
    assert len(list((Path(folder.root) / "manifests").iterdir())) == 1
    assert folder.latest() == taken_over


def test_reports_are_those_of_the_rounds_that_count(folder: RunFolder) -> None:
    def commit(fence: int, number: int, seconds: float) -> RoundReport:
        report = RoundReport(0, number, seconds, {"like": 5}, {"like": 0.5}, held_out=ValidationResult({}, {}, {}, 0.0))
        folder.commit(replace(_manifest([]), fence=fence, round=number, reports=[report]))
        return report

    first = commit(1, 0, 1.0)
    commit(1, 1, 2.0)
    commit(1, 2, 3.0)
    again = commit(2, 1, 4.0)  # resumed after round 0
    assert folder.reports() == [first, again]


def test_settings_and_released_claims_are_kept(folder: RunFolder) -> None:
    assert folder.settings() is None
    folder.write_settings({"training": {"dim": 8}})
    assert folder.settings() == {"training": {"dim": 8}}
    folder.release(3)
    assert folder.is_released(3)
    assert not folder.is_released(2)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"partitions": []}'])
def test_a_damaged_manifest_is_a_line_with_its_path(folder: RunFolder, content: bytes) -> None:
    path = Path(folder.root) / "manifests" / "00001-00000-00000.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: the file is damaged .*; delete the run's folder and train again$"):
        folder.latest()


def test_damaged_settings_and_samples_are_lines_with_their_paths(folder: RunFolder) -> None:
    Path(folder.root).mkdir(parents=True)
    for name, read in (("settings.json", folder.settings), ("validation.arrow", folder.validation_sample)):
        assert read() is None
        (Path(folder.root) / name).write_bytes(b"ARROW1, or so")
        with pytest.raises(InputError, match=rf"{name}: the file is damaged"):
            read()


def test_siblings_are_of_the_same_model(tmp_path: Path) -> None:
    for name in ("demo-0123456789", "demo-abcdef0123", "demo-big-abcdef0123", "demo", "demos-abcdef0123"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (found,) = RunFolder(str(tmp_path), "demo-0123456789").siblings("demo")
    assert found.run_id == "demo-abcdef0123"
