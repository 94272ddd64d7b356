"""Rounds through Spark: every edge once an epoch, the same bits however Spark cuts the edges."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from tests.support.toy_graph import EDGES, PARTITIONS, blocks, first_manifest, run_settings
from twhin_spark.errors import InputError, TrainingError
from twhin_spark.tables.schemas import EDGE_BUCKETS, ddl
from twhin_spark.training.bucket_schedule import Round, rounds_of_epoch
from twhin_spark.training.execution import Execution
from twhin_spark.training.relay import Relay
from twhin_spark.training.rounds import run_rounds
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder


def _buckets(spark: SparkSession, parts: int) -> DataFrame:
    return spark.createDataFrame(blocks(), ddl(EDGE_BUCKETS)).repartition(parts)


def _train(
    spark: SparkSession, output: Path, groups: tuple[int, int], parts: int, *, lanes: int = 2, at_once: int = 1
) -> tuple[Manifest, Counter[str]]:
    """Train two epochs; return the end and the edges trained, by relation."""
    run = run_settings(str(output))
    manifest = first_manifest(run)
    edges: Counter[str] = Counter()
    for epoch in range(2):
        rounds = rounds_of_epoch(PARTITIONS, groups[0], seats=groups[1], epoch=epoch)
        for begin in range(0, len(rounds), at_once):
            relay = _relay(run, rounds[begin:][:at_once], lanes)
            manifest = run_rounds(_buckets(spark, parts), run, relay, manifest, Execution())
            for report in manifest.reports:
                edges.update(report.edges)
    return manifest, edges


def _relay(run: RunSettings, rounds: list[Round], lanes: int = 2) -> Relay:
    return Relay(rounds, [run.train] * len(rounds), lanes)


@pytest.mark.parametrize("groups", [(1, 1), (3, 1), (4, 2), (4, 1)], ids=str)
def test_an_epoch_trains_every_edge_once_and_the_bits_do_not_depend_on_spark(
    spark: SparkSession, tmp_path: Path, groups: tuple[int, int]
) -> None:
    one, edges = _train(spark, tmp_path / "one", groups, parts=1)
    other, _ = _train(spark, tmp_path / "other", groups, parts=5, at_once=3)
    assert edges.total() == 2 * len(blocks()) * EDGES
    assert [file.crc32 for file in one.partitions] == [file.crc32 for file in other.partitions]
    assert one.relations == other.relations
    if groups == (4, 2):
        alone, _ = _train(spark, tmp_path / "alone", groups, parts=1, lanes=1, at_once=2)
        assert [file.crc32 for file in one.partitions] == [file.crc32 for file in alone.partitions]


def test_a_relay_leaves_only_the_files_that_count(spark: SparkSession, tmp_path: Path) -> None:
    manifest, _ = _train(spark, tmp_path, (4, 2), parts=1, at_once=4)
    RunFolder(str(tmp_path), "run").sweep(manifest)
    left = {path.name for path in (tmp_path / "runs" / "run" / "state").iterdir()}
    assert {file.name for file in manifest.partitions} <= left
    assert len(left) == 2 * PARTITIONS  # and those of the first vectors, whose names are no names of a task


@pytest.mark.parametrize("at_once", [1, 3])
def test_divergence_names_relation_epoch_round_and_learning_rate(
    spark: SparkSession, tmp_path: Path, at_once: int
) -> None:
    run = run_settings(str(tmp_path), learning_rate=1e30)
    rounds = rounds_of_epoch(PARTITIONS, 4, seats=2)
    found = (
        r"the loss of relation '(like|follow)' is not finite in epoch 1, round [1-3], at training\.learning_rate 1e\+30"
    )
    relay, manifest = _relay(run, rounds[:at_once]), first_manifest(run)
    with pytest.raises(TrainingError, match=found):
        run_rounds(_buckets(spark, 1), run, relay, manifest, Execution())


@pytest.mark.parametrize("groups", [1, 4])
def test_a_damaged_state_file_is_one_line(spark: SparkSession, tmp_path: Path, groups: int) -> None:
    run = run_settings(str(tmp_path))
    folder, manifest = RunFolder(run.output, run.run_id), first_manifest(run)
    (tmp_path / "runs" / "run" / "state" / manifest.partitions[0].name).unlink()
    rounds = rounds_of_epoch(PARTITIONS, groups, seats=2)
    with pytest.raises(InputError, match="the state file is gone"):
        run_rounds(_buckets(spark, 1), run, _relay(run, rounds), manifest, Execution())
    assert folder.latest() == manifest
