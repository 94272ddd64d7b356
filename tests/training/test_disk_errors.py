"""A full disk and a damaged state file: one line, and a resume from the last committed round, which is intact."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.support.follow_graph import folder_of, train_and_stop, write_follow_config
from twhin_spark.config import Config, load_config
from twhin_spark.errors import InputError, TrainingError
from twhin_spark.graph.build import build_graph
from twhin_spark.training import train as training
from twhin_spark.training import trainer
from twhin_spark.training.state.manifest import Manifest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a file system of 16 MB."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def config(spark: SparkSession, disk: Path) -> Config:
    config = load_config(write_follow_config(disk, [(i % 37, i % 41) for i in range(300)]))
    build_graph(spark, config, print)
    return config


@pytest.fixture(scope="module")
def whole(spark: SparkSession, config: Config) -> Manifest:
    return training.train(spark, config, print).manifest


def _fill(disk: Path) -> Path:
    """Take all the space that is left; return the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk did not become full")


@pytest.mark.parametrize("rounds", [1, 4])
def test_a_full_disk_is_a_line_and_a_resume_has_the_same_bits(
    spark: SparkSession, config: Config, whole: Manifest, disk: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    real, left, filler = trainer.run_rounds, [rounds], []

    def run_rounds(*args: Any) -> Any:
        if not left[0]:
            filler.append(_fill(disk))
        left[0] -= 1
        return real(*args)

    monkeypatch.setattr(trainer, "run_rounds", run_rounds)
    with pytest.raises(TrainingError) as error:
        training.train(spark, config, print)
    monkeypatch.undo()
    assert "No space left on device; the last committed round is intact: make room, then train with --resume" in str(
        error.value
    )
    assert "\n" not in str(error.value)
    committed = folder_of(config, whole).latest()
    assert committed is not None
    assert committed.epoch * 4 + committed.round == rounds - 1
    filler[0].unlink()
    resumed = training.train(spark, config, print, resume=True).manifest
    assert [file.crc32 for file in resumed.partitions] == [file.crc32 for file in whole.partitions]
    assert resumed.relations == whole.relations


def test_a_damaged_state_file_is_a_line_and_the_round_stays(
    spark: SparkSession, config: Config, whole: Manifest
) -> None:
    train_and_stop(spark, config, 2)
    folder = folder_of(config, whole)
    committed = folder.latest()
    assert committed is not None
    path = Path(folder.root) / "state" / committed.partitions[3].name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=r"the state file is corrupt: it has \d+ bytes and checksum .*; train again$"):
        training.train(spark, config, print, resume=True)
    path.unlink()
    with pytest.raises(InputError, match=r"the state file is gone; train again$"):
        training.train(spark, config, print, resume=True)
    again = folder.latest()
    assert again is not None
    assert (again.epoch, again.round, again.partitions) == (committed.epoch, committed.round, committed.partitions)
    path.write_bytes(content)
    resumed = training.train(spark, config, print, resume=True).manifest
    assert [file.crc32 for file in resumed.partitions] == [file.crc32 for file in whole.partitions]
