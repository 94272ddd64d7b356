from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twhin_spark.errors import InputError
from twhin_spark.training.relations import RelationState
from twhin_spark.training.state import EntityState, Manifest, RunFolder, StateFile

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
    return Manifest("run", 0, 0, False, 1, files, relations, "cpu")


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
    old, new, garbage = (folder.write_partition(name, _partition(1)) for name in ("old", "new", "garbage"))
    folder.commit(_manifest([old]))
    latest = replace(_manifest([new]), epoch=10, complete=True)
    folder.commit(replace(latest, epoch=9))
    folder.commit(latest)
    assert folder.latest() == latest
    folder.sweep(latest)
    assert [path.name for path in (Path(folder.root) / "state").iterdir()] == ["new"], garbage


def test_a_cleared_run_has_nothing(folder: RunFolder) -> None:
    folder.commit(_manifest([folder.write_partition("p0", _partition(1))]))
    folder.clear()
    assert folder.latest() is None
    folder.clear()
