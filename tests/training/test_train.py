"""Whole trainings: the validation edges, the end, the epoch that is kept, the table, and the lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.configs import csv_log
from tests.support.follow_graph import random_pairs, write_follow_config
from twhin_spark.config import Config, load_config
from twhin_spark.errors import ConfigError
from twhin_spark.graph.build import build_graph
from twhin_spark.graph.entity_location import ROW_BITS
from twhin_spark.graph.graph_version import latest_graph
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES, TRAINING_ROUNDS
from twhin_spark.training import train as training
from twhin_spark.training.state.validation_sample import ValidationSample
from twhin_spark.training.trained_run import TrainedRun, find_run


@pytest.fixture(scope="module")
def file(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a config whose graph is built, with validation edges."""
    folder = tmp_path_factory.mktemp("early")
    split = {"by": "fraction", "test": 0.1, "validation": 0.2}
    path = write_follow_config(folder, random_pairs(40, 300), split=split)
    build_graph(spark, load_config(path), print)
    return path


def _config(file: Path, *options: str) -> Config:
    return load_config(file, [f"training.{option}" for option in options])


@pytest.mark.parametrize("groups", [1, 4])
def test_training_ends_early_and_keeps_the_best_epoch(spark: SparkSession, file: Path, groups: int) -> None:
    config = _config(
        file, f"groups={groups}", "epochs=9", "keep=best", "early_stopping.patience=2", "early_stopping.min_delta=2",
        "schedule.decay=linear", "validation.edges=20",
    )  # fmt: skip
    lines: list[str] = []
    run = training.train(spark, config, lines.append)
    last = run.folder.latest()
    assert last is not None
    assert last.epoch == 2  # no reciprocal rank rises by 2, so two epochs after the first one it ends
    assert run.manifest.epoch == int(np.argmax(last.history))
    assert find_run(config, TableStore(spark, config.output)).manifest == run.manifest
    assert lines[-2:] == [
        "stopped early, after epoch 3: no improvement in the last epochs",
        f"kept: epoch {run.manifest.epoch + 1}, the best one ({max(last.history):.4f})",
    ]
    assert f"monitor MRR {last.history[2]:.4f}" in lines[-3]
    for name in {f.name for f in (*last.partitions, *run.manifest.partitions)}:
        assert (Path(run.folder.root) / "state" / name).exists()

    rows = TableStore(spark, config.output).read(TRAINING_ROUNDS).where(f"run_id = '{run.run_id}'")
    ends = rows.where("held_out_edges > 0").orderBy("epoch").collect()
    assert [row["epoch"] for row in ends] == [0, 1, 2]
    assert [row["monitor_mrr"] for row in ends] == pytest.approx(last.history)
    assert {row["held_out_edges"] for row in ends} == {len(_sample(run))}
    rounds = 4 if groups == 4 else 1
    rates = [row["learning_rate"] for row in rows.orderBy("epoch", "round").collect()]
    assert rates == pytest.approx([0.1 * (1 - (i + 0.5) / (9 * rounds)) for i in range(3 * rounds)])


def _sample(run: TrainedRun) -> ValidationSample:
    sample = run.folder.validation_sample()
    assert sample is not None
    return sample


def test_what_is_drawn_is_new_known_and_as_much_as_asked_for(spark: SparkSession, file: Path) -> None:
    config = _config(file, "epochs=1", "groups=1", "validation.edges=1000")
    run = training.train(spark, config, print)
    store, graph = TableStore(spark, config.output), latest_graph(TableStore(spark, config.output))
    entities = store.read(ENTITIES, graph.tables["entities"]).where("degree > 0").collect()
    place = {row["entity_id"]: (row["partition"] << ROW_BITS) + row["row"] for row in entities}
    split: dict[str, set[tuple[str, str]]] = {"train": set(), "validation": set(), "test": set()}
    for row in store.read(EDGES, graph.tables["edges"]).collect():
        split[row["split"]].add((row["source_id"], row["target_id"]))
    expected = {(place[s], place[t]) for s, t in split["validation"] - split["train"] if {s, t} <= place.keys()}
    sample = _sample(run)
    assert len(sample) == len(expected)
    assert set(zip(sample.source.tolist(), sample.target.tolist(), strict=True)) == expected
    targets = {(place[s], place[t]) for s, t in split["train"]}
    for edge in range(len(sample)):
        source = sample.source[edge]
        known = sample.known_target[sample.known_edge == edge].tolist()
        assert sorted(known) == sorted({t for s, t in targets if s == source} | {source})  # self-loops are dropped


@pytest.mark.slow
def test_without_validation_edges_what_asks_for_them_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    logs = {"a": csv_log(tmp_path / "a.csv", "follow", "s", "t", split="p")}
    path = write_follow_config(tmp_path, [], logs=logs, split={"by": "source"})
    pairs = "".join(f"u{i},u{(i * 7 + 1) % 20},train\n" for i in range(20))
    (tmp_path / "a.csv").write_text("s,t,p\n" + pairs + "u90,u91,validation\n")
    config = _config(path, "epochs=1", "groups=1")
    build_graph(spark, config, print)
    lines: list[str] = []
    training.train(spark, config, lines.append)
    assert "no validation edge is new and has both ends in training: no held-out loss" in lines
    wants = _config(path, "epochs=1", "groups=1", "keep=best")
    with pytest.raises(ConfigError, match=r"training\.keep: no validation edge is new and has both ends in training"):
        training.train(spark, wants, print)
