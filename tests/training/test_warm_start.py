"""Warm starts: what a run takes from a published version, what it makes anew, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.second_day import write_day, write_shop
from twhin_spark.config import load_config
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.graph.build import build_graph
from twhin_spark.publishing.publish import publish
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, EMBEDDINGS, ENTITIES
from twhin_spark.training import train as training
from twhin_spark.training.trained_run import TrainedRun, find_run

Vectors = dict[tuple[str, str], np.ndarray]


@dataclass
class Shop:
    spark: SparkSession
    file: Path
    first: TrainedRun  # of day 1, published
    published: Vectors

    def train(self, *options: str, resume: bool = False) -> TrainedRun:
        """Train on day 2 with options of `training`."""
        config = load_config(self.file, [f"training.{option}" for option in options])
        return training.train(self.spark, config, print, resume=resume)

    def vectors(self, run: TrainedRun, *, accumulators: bool = False) -> Vectors:
        """Return the vectors of a run's last manifest, or its accumulators, by entity."""
        store, types = TableStore(self.spark, run.folder.output), ["user", "item"]
        entities = store.read(ENTITIES, run.graph.tables["entities"]).collect()
        states = [run.folder.read_partition(file, types) for file in run.manifest.partitions]
        vectors = {}
        for row in entities:
            state = states[row["partition"]][row["entity_type"]]
            values = state.accumulators if accumulators else state.vectors
            vectors[row["entity_type"], row["entity_id"]] = values[row["row"]]
        return vectors


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    file = write_shop(folder)
    config = load_config(file)
    build_graph(spark, config, print)
    first = training.train(spark, config, print)
    publish(spark, config, first, print)
    rows = TableStore(spark, config.output).read(EMBEDDINGS).collect()
    published = {(row["entity_type"], row["entity_id"]): np.array(row["embedding"], np.float32) for row in rows}
    write_day(folder, 2)
    build_graph(spark, config, print)
    return Shop(spark, file, first, published)


FROZEN = "start={freeze: {entity_types: [user, item], relations: [buy]}, epochs: 1}"


def test_what_is_known_starts_at_the_version_by_id(shop: Shop) -> None:
    run = shop.train(FROZEN)
    first, last = shop.vectors(shop.first), shop.vectors(run)
    for entity, vector in shop.published.items():
        assert np.array_equal(last[entity], vector)
        assert np.array_equal(first[entity], vector)
    assert (
        shop.vectors(run, accumulators=True)["item", "i3"] == shop.vectors(shop.first, accumulators=True)["item", "i3"]
    )
    assert run.manifest.relations["buy"] == shop.first.manifest.relations["buy"]
    assert run.manifest.relations["follow"] != shop.first.manifest.relations["follow"]


def test_a_new_entity_starts_at_the_mean_of_its_neighbours(shop: Shop) -> None:
    run = shop.train(FROZEN)
    last = shop.vectors(run)
    edges = [tuple(row) for row in _training_edges(shop, run) if row[1] == "u61"]
    assert edges
    mean = np.mean([shop.published["item", target] for _, _, target in edges], axis=0)
    assert last["user", "u61"] == pytest.approx(mean, abs=1e-6)
    buy = np.array(shop.first.manifest.relations["buy"].parameters["target"], np.float32)
    sources = [source for _, source, target in _training_edges(shop, run) if target == "i31"]
    mean = np.mean([shop.published["user", source] + buy for source in sources], axis=0)
    assert last["item", "i31"] == pytest.approx(mean, abs=1e-6)
    random = shop.vectors(shop.train(FROZEN.replace("epochs: 1", "epochs: 1, new_entities: random")))
    assert np.abs(random["item", "i31"] - mean).max() > 0.01


def _training_edges(shop: Shop, run: TrainedRun) -> list[tuple[str, str, str]]:
    edges = TableStore(shop.spark, run.folder.output).read(EDGES, run.graph.tables["edges"]).where("split = 'train'")
    return [(r["relation"], r["source_id"], r["target_id"]) for r in edges.collect()]


@pytest.mark.parametrize("groups", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_a_warm_run_is_repeatable_and_found_again(shop: Shop, groups: int) -> None:
    options = ("start={anchor: {strength: 0.5, degree_power: 0.5}}", f"groups={groups}")
    run = shop.train(*options)
    again = shop.train(*options)
    assert [f.crc32 for f in run.manifest.partitions] == [f.crc32 for f in again.manifest.partitions]
    config = load_config(shop.file, [f"training.{option}" for option in options])
    found = find_run(config, TableStore(shop.spark, config.output))
    assert found.run_id == run.run_id
    assert found.manifest == again.manifest
    assert run.manifest.epoch == 0  # a quarter of four epochs
    assert shop.train(*options, resume=True).manifest == again.manifest


@pytest.mark.parametrize("groups", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_an_anchor_holds_known_vectors_near_their_start(shop: Shop, groups: int) -> None:
    def moved(*options: str) -> float:
        last = shop.vectors(shop.train(*options, f"groups={groups}"))
        return float(np.mean([np.linalg.norm(last[entity] - vector) for entity, vector in shop.published.items()]))

    free, anchored = moved("start={}"), moved("start={anchor: {strength: 0.9}}")
    assert 0 < anchored < 0.3 * free


def test_frozen_types_do_not_move_and_others_do(shop: Shop) -> None:
    last = shop.vectors(shop.train("start={freeze: {entity_types: [item]}}"))
    assert np.array_equal(last["item", "i3"], shop.published["item", "i3"])
    assert not np.array_equal(last["user", "u3"], shop.published["user", "u3"])


def test_another_dimension_or_an_unknown_version_is_refused_in_one_line(shop: Shop) -> None:
    with pytest.raises(ConfigError) as dimension:
        shop.train("start={}", "dim=6")
    assert str(dimension.value) == (
        f"training.start.from: version '{shop.first.run_id}' has vectors of dimension 8, but training.dim is 6; "
        "set training.dim to 8, or remove training.start"
    )
    with pytest.raises(InputError, match=r"training\.start\.from: version 'gold' was not published; use"):
        shop.train("start={from: gold}")
