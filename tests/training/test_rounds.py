"""Rounds through Spark: every edge once an epoch, the same bits however Spark cuts the edges."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from tests.support.toy_graph import EDGES, PARTITIONS, blocks, first_manifest, run_settings
from twhin_spark.errors import InputError, TrainingError
from twhin_spark.tables.schemas import EDGE_BUCKETS, ddl
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.rounds import run_round
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder


def _buckets(spark: SparkSession, parts: int) -> DataFrame:
    return spark.createDataFrame(blocks(), ddl(EDGE_BUCKETS)).repartition(parts)


def _train(
    spark: SparkSession, output: Path, groups: int, super_groups: int, parts: int, learning_rate: float = 0.1
) -> tuple[Manifest, Counter[str]]:
    """Train two epochs; return the end and the edges trained, by relation."""
    run = run_settings(str(output), learning_rate)
    manifest = first_manifest(run)
    edges: Counter[str] = Counter()
    for epoch in range(2):
        for training_round in rounds_of_epoch(PARTITIONS, groups, super_groups, run.seed, epoch):
            manifest = run_round(_buckets(spark, parts), run, training_round, manifest)
            edges.update(manifest.reports[0].edges)
    return manifest, edges


@pytest.mark.parametrize(("groups", "super_groups"), [(1, 1), (3, 3), (4, 4), (4, 2), (4, 1)])
def test_an_epoch_trains_every_edge_once_and_the_bits_do_not_depend_on_spark(
    spark: SparkSession, tmp_path: Path, groups: int, super_groups: int
) -> None:
    one, edges = _train(spark, tmp_path / "one", groups, super_groups, parts=1)
    other, _ = _train(spark, tmp_path / "other", groups, super_groups, parts=5)
    assert edges.total() == 2 * len(blocks()) * EDGES
    assert [file.crc32 for file in one.partitions] == [file.crc32 for file in other.partitions]
    assert one.relations == other.relations


def test_divergence_names_relation_epoch_round_and_learning_rate(spark: SparkSession, tmp_path: Path) -> None:
    found = (
        r"the loss of relation '(like|follow)' is not finite in epoch [12], round 1, at training\.learning_rate 1e\+30"
    )
    with pytest.raises(TrainingError, match=found):
        _train(spark, tmp_path, 1, 1, parts=1, learning_rate=1e30)


def test_a_damaged_state_file_is_one_line(spark: SparkSession, tmp_path: Path) -> None:
    run = run_settings(str(tmp_path))
    folder, manifest = RunFolder(run.output, run.run_id), first_manifest(run)
    (tmp_path / "runs" / "run" / "state" / manifest.partitions[0].name).unlink()
    training_round = rounds_of_epoch(PARTITIONS, 1, 1, run.seed, 0)[0]
    with pytest.raises(InputError, match="the state file is gone"):
        run_round(_buckets(spark, 1), run, training_round, manifest)
    assert folder.latest() == manifest
