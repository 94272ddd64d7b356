"""Resuming: a stopped training continues to the same bits, and only one driver trains a run."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession

from tests.support.follow_graph import StopError, folder_of, random_pairs, train_and_stop, write_follow_config
from twhin_spark.config import Config, load_config
from twhin_spark.errors import ConfigError, TrainingError
from twhin_spark.graph.build import build_graph
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import TRAINING_CLAIMS, TRAINING_ROUNDS, ddl
from twhin_spark.training import train as training
from twhin_spark.training import trainer
from twhin_spark.training.start_version import run_id_of
from twhin_spark.training.state.manifest import Manifest


@pytest.fixture(scope="module")
def config(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Return a config whose graph is built."""
    folder = tmp_path_factory.mktemp("resume")
    config = load_config(write_follow_config(folder, random_pairs(40, 300)))
    build_graph(spark, config, print)
    return config


@pytest.fixture(scope="module")
def whole(spark: SparkSession, config: Config) -> Manifest:
    """Return the end of a training that nothing stopped."""
    return training.train(spark, config, print).manifest


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that lives as long as the test."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def add_claim(spark: SparkSession, config: Config, run_id: str, host: str, process: int, started: float) -> None:
    store = TableStore(spark, config.output)
    last = store.read(TRAINING_CLAIMS).where(f"run_id = '{run_id}'").agg({"fence": "max"}).first()
    assert last is not None
    row = (run_id, last[0] + 1, host, process, started, datetime(2026, 5, 1, 12, tzinfo=UTC), "another")
    store.append(TRAINING_CLAIMS, spark.createDataFrame([row], ddl(TRAINING_CLAIMS)))


@pytest.mark.parametrize(
    "rounds", [pytest.param(0, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_resumed_training_ends_with_the_same_bits(
    spark: SparkSession, config: Config, whole: Manifest, rounds: int
) -> None:
    train_and_stop(spark, config, rounds)
    lines: list[str] = []
    resumed = training.train(spark, config, lines.append, resume=True).manifest

    assert [file.crc32 for file in resumed.partitions] == [file.crc32 for file in whole.partitions]
    assert resumed.relations == whole.relations
    place = f"epoch 1, round {rounds}" if rounds else "the first vectors"
    assert lines[0] == f"run {whole.run_id}: resuming after {place}, with its 4 groups"
    rows = TableStore(spark, config.output).read(TRAINING_ROUNDS).where(f"run_id = '{whole.run_id}'")
    assert sorted((row["epoch"], row["round"]) for row in rows.collect()) == [
        (e, r) for e in range(2) for r in range(4)
    ]
    assert len(list((Path(folder_of(config, whole).root) / "state").iterdir())) == 8  # the rest is swept


def test_a_complete_run_is_not_trained_again(spark: SparkSession, config: Config, whole: Manifest) -> None:
    before = folder_of(config, whole).latest()
    lines: list[str] = []
    assert training.train(spark, config, lines.append, resume=True).manifest == before
    assert lines == [f"run {whole.run_id} is complete"]


def test_resuming_with_other_settings_names_them(spark: SparkSession, config: Config, whole: Manifest) -> None:
    train_and_stop(spark, config, 1)
    changed = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 4})})
    with pytest.raises(
        ConfigError, match=r"unfinished run small-\w+ was begun with other .*: training.epochs was 2, now 4;"
    ):
        training.train(spark, changed, print, resume=True)
    assert training.train(spark, config, print, resume=True).manifest.complete


def test_resuming_on_another_cpu_says_so(spark: SparkSession, config: Config, whole: Manifest) -> None:
    train_and_stop(spark, config, 4)
    lines: list[str] = []
    training.train(spark, config, lines.append, resume=True, cpu="another")
    assert f"it was begun on {whole.cpu}, this is another: the last bits may differ from those of one CPU" in lines


def test_what_decides_how_state_is_read_makes_another_run(config: Config) -> None:
    graph = GraphVersion("g", {}, ("follow",), 8, None, {})
    other = {
        "entity_types": ["tweet", "user"],
        "graph": config.graph.model_copy(update={"self_loops": "keep"}),
        "training": config.training.model_copy(update={"dim": 9}),
    }
    both = config.model_copy(update={"entity_types": ["user", "tweet"]})
    ids = [run_id_of(both.model_copy(update={name: value}), graph) for name, value in other.items()]
    assert len({run_id_of(both, graph), *ids}) == 4


def test_a_driver_that_dies_between_its_last_commit_and_its_log_is_made_up_for(
    spark: SparkSession, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = config.model_copy(update={"training": config.training.model_copy(update={"seed": 7})})

    def add(*_: Any, last: bool) -> None:
        if last:
            raise StopError

    monkeypatch.setattr(training.RoundLog, "add", add)
    with pytest.raises(StopError):
        training.train(spark, fresh, print)
    monkeypatch.undo()
    for _ in range(2):
        run = training.train(spark, fresh, print, resume=True)
        rows = TableStore(spark, config.output).read(TRAINING_ROUNDS).where(f"run_id = '{run.run_id}'").collect()
        assert sorted((row["epoch"], row["round"]) for row in rows) == [(e, r) for e in range(2) for r in range(4)]


def test_a_second_training_is_refused_while_the_first_lives(
    spark: SparkSession, config: Config, whole: Manifest, sleeper: subprocess.Popen[bytes]
) -> None:
    started = psutil.Process(sleeper.pid).create_time()
    add_claim(spark, config, whole.run_id, socket.gethostname(), sleeper.pid, started)
    driver = f"process {sleeper.pid} on {socket.gethostname()}"
    held = f"run {whole.run_id} is being trained by {driver}, since 2026-05-01 12:00"
    with pytest.raises(TrainingError, match=held):
        training.train(spark, config, print)
    sleeper.kill()
    sleeper.wait()
    assert training.train(spark, config, print).manifest.complete


def test_a_driver_on_another_machine_may_live(spark: SparkSession, config: Config, whole: Manifest) -> None:
    add_claim(spark, config, whole.run_id, "elsewhere", 1, 0.0)
    with pytest.raises(TrainingError, match=r"process 1 on elsewhere.*or if it is dead, train with --take-over"):
        training.train(spark, config, print)
    assert training.train(spark, config, print, take_over=True).manifest.complete


def test_a_driver_whose_run_was_taken_over_ends(
    spark: SparkSession, config: Config, whole: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trainer.run_rounds

    def run_rounds(*args: Any, **kwargs: Any) -> Any:
        folder = folder_of(config, whole)
        latest = folder.latest()
        assert latest is not None
        if latest.epoch == 1:
            folder.commit(replace(latest, fence=latest.fence + 1))
        return real(*args, **kwargs)

    monkeypatch.setattr(trainer, "run_rounds", run_rounds)
    with pytest.raises(TrainingError, match="was taken over by another training"):
        training.train(spark, config, print)
