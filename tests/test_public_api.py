"""The public API: each name resolves, is documented, and is called, on a graph from a DataFrame of events."""

from __future__ import annotations

import inspect
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

import twhin_spark as ts

SECTIONS: dict[str, Any] = {
    "name": "api",
    "entity_types": ["user", "item"],
    "relations": {"like": {"source": "user", "target": "item"}},
    "logs": {
        "likes": {
            "format": "dataframe",
            "where": "rating > 1",
            "select": {"relation": "'like'", "source": "user", "target": "`item.id`", "timestamp": "at"},
        }
    },
    "graph": {"partitions": 2},
    "training": {"dim": 4, "epochs": 1, "batch_size": 16, "uniform_negatives": 4},
    "evaluation": {"als": None},
    "retrieval": {"queries": {"like": {"relation": "like", "k": 3}}},
}
COLUMNS = "user STRING, `item.id` STRING, at TIMESTAMP, rating INT"


@pytest.mark.parametrize("name", ts.__all__)
def test_each_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(ts, name)
    assert name in dir(ts)
    assert name == "__version__" or inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        ts.no_such_name  # noqa: B018


def config(output: Path, **sections: Any) -> ts.Config:
    return ts.load_config({**SECTIONS, "output": str(output), **sections})


@pytest.fixture(scope="module")
def likes(spark: SparkSession) -> DataFrame:
    rng = np.random.default_rng(0)
    start = datetime(2026, 1, 1)
    rows = [
        (f"u{user}", f"i{item}", start + timedelta(hours=hour), 1 + hour % 5)
        for hour, (user, item) in enumerate(rng.integers((0, 0), (12, 9), size=(400, 2)).tolist())
    ]
    return spark.createDataFrame(rows, COLUMNS)


@pytest.fixture(scope="module")
def built(spark: SparkSession, likes: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[ts.Config, Any]:
    """A config and the summary of its build from a DataFrame."""
    settings = config(tmp_path_factory.mktemp("api"))
    return settings, ts.build_graph(spark, settings, logs={"likes": likes})


@pytest.mark.slow
def test_the_stages_one_by_one_and_what_reads_their_vectors(spark: SparkSession, built: tuple[ts.Config, Any]) -> None:
    assert ts.open_session("the session of the tests") == spark
    settings, graph = built
    assert graph.rows["accepted"] == 320
    assert graph.rows["left_out"] == {"where": 80, "window": 0}
    trained = ts.train(spark, settings)
    evaluated = ts.evaluate(spark, settings)
    published = ts.publish(spark, settings)
    assert len({graph.run_id, trained.run_id, evaluated.run_id, published.run_id}) == 1
    assert evaluated.metrics
    assert "embeddings" in published.tables

    found = ts.find_candidates(spark, settings)
    assert found.candidates == 12 * 3
    assert "twhin_user" in ts.register(spark, settings)
    pairs = spark.createDataFrame(
        [("user", "u1", "item", "i2")], "source_type STRING, source_id STRING, target_type STRING, target_id STRING"
    )
    scored = ts.score_pairs(spark, settings, pairs, [ts.Score(measure="cosine")]).first()
    store = ts.open_store(settings)
    source, target = (np.asarray(store.get(*entity)) for entity in (("user", "u1"), ("item", "i2")))
    assert scored is not None
    assert scored["score"] == pytest.approx(source @ target / np.linalg.norm(source) / np.linalg.norm(target), rel=1e-5)
    assert ts.RepresentationStore.open(Path(settings.output) / "serving").get("user", "nobody") is None


def test_a_dataframe_replaces_the_files_of_a_log_and_gives_the_same_graph(
    spark: SparkSession, likes: DataFrame, built: tuple[ts.Config, Any], tmp_path: Path
) -> None:
    likes.withColumnRenamed("item.id", "item").coalesce(1).write.csv(str(tmp_path / "likes"), header=True)
    log = {**SECTIONS["logs"]["likes"], "path": str(tmp_path / "likes"), "format": "csv", "options": {"header": True}}
    log["select"] = {**log["select"], "target": "item"}
    settings = config(tmp_path / "out", logs={"likes": log})
    from_files = ts.build_graph(spark, settings)
    _, from_rows = built
    assert from_files.run_id == from_rows.run_id  # it names the graph's content
    assert from_files.rows["read"] == from_rows.rows["read"] == 320


def test_a_dataframe_that_cannot_be_computed_is_an_input_error(spark: SparkSession, tmp_path: Path) -> None:
    failing = spark.sql("SELECT 'u' AS user, 'i' AS `item.id`, now() AS at, raise_error('no such shard') AS rating")
    with pytest.raises(ts.InputError, match=r"logs\.likes: reading the DataFrame failed: .*no such shard"):
        ts.build_graph(spark, config(tmp_path), logs={"likes": failing})


def test_a_dataframe_that_is_missing_or_unknown_is_a_config_error(
    spark: SparkSession, likes: DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(ts.ConfigError, match=r"logs\.likes\.format is dataframe, so its rows are required: "):
        ts.pipeline(spark, config(tmp_path))
    with pytest.raises(ts.ConfigError, match="the config has no log 'like'; its logs are likes"):
        ts.build_graph(spark, config(tmp_path), logs={"like": likes})


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ({"format": "csv"}, r"config: logs\.likes\.format is 'csv', so logs\.likes\.path is required"),
        ({"format": "dataframe", "path": "x.csv"}, r"logs\.likes\.format is 'dataframe', .*; remove logs\.likes\.path"),
        (
            {"format": "dataframe", "options": {"sep": ";"}},
            r"logs\.likes\.format is 'dataframe', .*; remove logs\.likes\.options",
        ),
        (
            {"format": "dataframe", "columns": "user STRING"},
            r"logs\.likes\.columns is set, so logs\.likes\.format must be csv, json or parquet, not dataframe",
        ),
    ],
)
def test_a_log_has_a_path_or_the_format_dataframe(tmp_path: Path, log: dict[str, Any], message: str) -> None:
    with pytest.raises(ts.ConfigError, match=message):
        config(tmp_path, logs={"likes": {"select": SECTIONS["logs"]["likes"]["select"], **log}})


def test_the_errors_are_one_family() -> None:
    assert all(issubclass(error, ts.TwhinError) for error in (ts.ConfigError, ts.InputError, ts.TrainingError))
    assert ts.__version__[0].isdigit()
