"""The second day of a shop: train, publish, new logs, warm training, aligned publication, and what readers see."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.second_day import write_day, write_shop
from twhin_spark.config import Config, load_config
from twhin_spark.errors import TwhinError
from twhin_spark.graph.build import build_graph
from twhin_spark.kernels.alignment import Alignment
from twhin_spark.publishing.publish import publish
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import ALIGNMENTS, DRIFT, EMBEDDINGS, MODEL_VERSIONS, RELATIONS
from twhin_spark.training import train as training
from twhin_spark.training.trained_run import TrainedRun


@dataclass
class Shop:
    config: Config
    store: TableStore
    runs: list[TrainedRun]  # of each day; the second one starts cold, so that its space is another

    def vectors(self, version: int | None = None) -> dict[tuple[str, str], np.ndarray]:
        rows = self.store.read(EMBEDDINGS, version).collect()
        return {(row["entity_type"], row["entity_id"]): np.array(row["embedding"]) for row in rows}

    def version(self, name: str) -> dict[str, object]:
        row = self.store.read(MODEL_VERSIONS).where(f"model_version = '{name}'").first()
        assert row is not None
        return row.asDict()


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    file = write_shop(folder)
    config = load_config(file)
    runs = []
    for day, options in ((1, []), (2, ["training.seed=1"])):
        write_day(folder, day)
        build_graph(spark, config, print)
        runs.append(training.train(spark, load_config(file, options), print))
        publish(spark, load_config(file, options), runs[-1], print)
    return Shop(load_config(file, ["training.seed=1"]), TableStore(spark, config.output), runs)


def test_an_aligned_version_scores_as_it_was_trained_and_is_nearer(shop: Shop) -> None:
    first, second = shop.runs
    published = shop.version(second.run_id)
    assert published["aligned_to"] == first.run_id
    before, after = shop.vectors(int(str(shop.version(first.run_id)["table_version"]))), shop.vectors()
    kept = shop.store.read(ALIGNMENTS).where("kind = 'published'").first()
    assert kept is not None
    turn = Alignment(np.array(kept["matrix"]).reshape(8, 8))
    trained = {entity: turn.matrix @ vector for entity, vector in after.items()}  # turned back
    relation = shop.store.read(RELATIONS).where(f"model_version = '{second.run_id}' AND relation = 'buy'").first()
    assert relation is not None
    buy = np.array(second.manifest.relations["buy"].parameters["target"])
    for user, item in (("u3", "i4"), ("u61", "i31")):
        published_score = (after["user", user] + relation["parameters"]) @ after["item", item]
        assert published_score == pytest.approx((trained["user", user] + buy) @ trained["item", item], abs=1e-5)
    shared = [entity for entity in before if entity in after]
    moved = np.mean([np.linalg.norm(after[entity] - before[entity]) for entity in shared])
    assert moved < 0.8 * np.mean([np.linalg.norm(trained[entity] - before[entity]) for entity in shared])


def test_the_drift_is_that_of_the_published_vectors(shop: Shop) -> None:
    first, second = shop.runs
    rows = shop.store.read(DRIFT).where(f"to_version = '{second.run_id}'").collect()
    assert {row["from_version"] for row in rows} == {first.run_id}
    before, after = shop.vectors(int(str(shop.version(first.run_id)["table_version"]))), shop.vectors()
    users = [entity for entity in before if entity in after and entity[0] == "user"]
    cosines = [1 - before[e] @ after[e] / np.linalg.norm(before[e]) / np.linalg.norm(after[e]) for e in users]
    (row,) = (
        r
        for r in rows
        if (r["entity_type"], r["degree_band"], r["measure"], r["rotated"]) == ("user", None, "cosine", False)
    )
    assert row["count"] == len(users)
    assert row["mean"] == pytest.approx(np.mean(cosines), abs=1e-6)
    assert row["p50"] == pytest.approx(np.percentile(cosines, 50, method="inverted_cdf"), abs=3e-4)
    assert sum(row["histogram"]) == len(users)
    came = {(r["entity_type"], r["measure"]): r["count"] for r in rows if r["measure"] in ("came", "went")}
    assert came["user", "came"] == 6
    assert came["item", "came"] == 3
    assert came["user", "went"] == 1
    bands = [r for r in rows if r["entity_type"] == "user" and r["degree_band"] and r["measure"] == "cosine"]
    assert sum(r["count"] for r in bands if not r["rotated"]) == len(users)
    (overlap,) = (r for r in rows if r["measure"] == "neighbour_overlap@10" and r["entity_type"] == "item")
    assert 0 < overlap["mean"] <= 1


def test_a_second_publish_repeats_the_first(shop: Shop, spark: SparkSession) -> None:
    before = shop.vectors()
    publish(spark, shop.config, shop.runs[1], print)
    after = shop.vectors()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[entity], after[entity]) for entity in before)
    assert shop.version(shop.runs[1].run_id)["aligned_to"] == shop.runs[0].run_id
    assert shop.store.read(MODEL_VERSIONS).count() == 2
    assert [r["alias"] for r in shop.store.read(MODEL_VERSIONS).orderBy("table_version").collect()] == [None, "current"]


@pytest.mark.slow
def test_a_gate_on_drift_stops_a_publish_unless_it_is_forced(shop: Shop, spark: SparkSession) -> None:
    gates = "publishing.gates=[{drift: cosine_p50, entity_type: user, at_most: 0.0001}]"
    config = load_config(shop.store.output.replace("/out", "/config.yaml"), [gates])  # the first day's model
    run = training.train(spark, config, print)
    latest = shop.store.version(EMBEDDINGS)
    with pytest.raises(TwhinError, match=r"not published: publishing\.gates\.0: drift cosine_p50 of entity type user"):
        publish(spark, config, run, print)
    assert shop.store.version(EMBEDDINGS) == latest
    publish(spark, config, run, print, force="a new encoder")
    row = shop.version(run.run_id)
    assert json.loads(str(row["forced"]))["reason"] == "a new encoder"
    assert json.loads(str(row["gates"]))[0]["passed"] is False
