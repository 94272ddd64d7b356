"""The whole way, from logs on disk to published vectors, on a small library with odd ids."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import deltalake
import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.configs import csv_log, write_config
from twhin_spark.config import Config, load_config
from twhin_spark.evaluation.metrics import OVER_QUERIES, OVER_SOURCES
from twhin_spark.stages import Summary, evaluate, pipeline, publish, train
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, EMBEDDINGS, ENTITIES, MODEL_VERSIONS, RELATIONS

READERS = ["Ann, the first", 'Bo "B" Lee', "Чехов", "李 雷", "O'Hara", " lead", "a\\b", "naïve;id", "γ", "x\ty"]
BOOKS = ["War, and Peace", 'The "Trial"', "Идиот", "红楼梦", "l'Étranger", "1984"]
SHELVES = ["A,1", "B 2", "В3"]
SECTIONS = {
    "entity_types": ["reader", "book", "shelf"],
    "relations": {"borrow": {"source": "reader", "target": "book"}, "stands": {"source": "book", "target": "shelf"}},
    "split": {"by": "time", "test": 0.2, "validation": 0.1},
    "graph": {"partitions": 3},
    "training": {"dim": 8, "epochs": 2, "batch_size": 8, "uniform_negatives": 4},
    "evaluation": {"als": {"rank": 4, "iterations": 2}},
}


@dataclass
class Library:
    config: Config
    store: TableStore
    first: Summary
    evaluated: Summary  # of a model with another dimension and seed, on the same graph
    second: Summary  # of its publishing


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def library(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("library")
    rng = np.random.default_rng(0)
    days = [f"2026-01-{day:02d}T12:00:00" for day in range(1, 29)]
    shelves = [[book, SHELVES[i % 3], days[0]] for i, book in enumerate(BOOKS)]
    loans = [[READERS[rng.integers(10)], BOOKS[rng.integers(6)], days[i // 5]] for i in range(5 * len(days))]
    _write(folder / "loans.csv", ["reader", "book", "at"], [*loans, ["Ann", "", days[3]]])
    _write(folder / "shelves.csv", ["book", "shelf", "at"], shelves)
    logs = {
        "loans": csv_log(folder / "loans.csv", "borrow", "reader", "book", timestamp="at"),
        "shelves": csv_log(folder / "shelves.csv", "stands", "book", "shelf", timestamp="at"),
    }
    file = write_config(folder, logs=logs, **SECTIONS)
    config = load_config(file)
    first = pipeline(spark, config, progress=print)
    other = load_config(file, ["training.dim=6", "training.seed=1", "evaluation.als=null"])
    train(spark, other, progress=print)
    evaluated = evaluate(spark, other, progress=print)
    return Library(config, TableStore(spark, config.output), first, evaluated, publish(spark, other, progress=print))


def test_every_row_is_accounted_for(library: Library) -> None:
    rows = library.first.rows
    assert rows["read"] == 5 * 28 + 1 + len(BOOKS)
    assert rows["rejected_by_reason"] == {"missing_target_id": 1}
    assert rows["read"] == rows["accepted"] + rows["replayed"] + rows["rejected"]
    counted = library.store.read(EDGES).groupBy().sum("event_count").first()
    assert counted is not None
    assert counted[0] == rows["accepted"]


def test_ids_survive_to_the_published_table(library: Library) -> None:
    ids = {(row.entity_type, row.entity_id) for row in library.store.read(EMBEDDINGS).collect()}
    seen = {(row.entity_type, row.entity_id) for row in library.store.read(ENTITIES).collect()}
    assert ids == seen
    assert {name for kind, name in ids if kind == "reader"} == set(READERS)
    assert {name for kind, name in ids if kind == "book"} == set(BOOKS)
    assert {name for kind, name in ids if kind == "shelf"} == set(SHELVES)


def test_the_current_and_the_earlier_version_are_whole(library: Library, spark: SparkSession) -> None:
    path, tables = library.store.path(EMBEDDINGS), (library.first.tables, library.second.tables)
    for summary, dim in ((library.first, 8), (library.second, 6)):
        version = summary.tables["embeddings"]["version"]
        rows = spark.sql(f"SELECT * FROM delta.`{path}` VERSION AS OF {version}").collect()
        assert {row.model_version for row in rows} == {summary.run_id}
        assert {len(row.embedding) for row in rows} == {dim}
        assert all(np.isclose(row.norm, np.linalg.norm(row.embedding)) for row in rows)
    assert tables[0]["embeddings"]["version"] < tables[1]["embeddings"]["version"]
    current = library.store.read(MODEL_VERSIONS).where("alias = 'current'").collect()
    assert [row.model_version for row in current] == [library.second.run_id]
    assert library.store.read(MODEL_VERSIONS).count() == 2
    assert library.store.read(RELATIONS).count() == 4


def test_the_table_reads_without_a_jvm(library: Library) -> None:
    table = deltalake.DeltaTable(library.store.path(EMBEDDINGS)).to_pyarrow_table()
    assert table.num_rows == library.store.read(EMBEDDINGS).count()
    assert {len(vector) for vector in table["embedding"].to_pylist()} == {6}
    earlier = deltalake.DeltaTable(library.store.path(EMBEDDINGS), library.first.tables["embeddings"]["version"])
    assert set(earlier.to_pyarrow_table()["model_version"].to_pylist()) == {library.first.run_id}


def test_a_row_of_another_dimension_is_refused(library: Library, spark: SparkSession) -> None:
    with pytest.raises(Exception, match="embedding_dim"):
        spark.sql(
            f"INSERT INTO delta.`{library.store.path(EMBEDDINGS)}` (entity_type, entity_id, embedding, model_version) "
            "VALUES ('book', 'x', array(1f), 'none')"
        )


def test_the_publishing_commit_carries_run_and_metrics(library: Library) -> None:
    version = library.second.tables["embeddings"]["version"]
    commit = library.store.history(EMBEDDINGS).where(f"version = {version}").first()
    assert commit is not None
    about = json.loads(commit["userMetadata"])
    assert about["run_id"] == library.second.run_id
    assert about["config"]["training"]["dim"] == 6
    assert sorted(about["metrics"], key=repr) == sorted(library.evaluated.metrics, key=repr)


def test_metrics_are_in_range_for_all_models_on_the_same_queries(library: Library) -> None:
    metrics = library.first.metrics
    assert {m["model"] for m in metrics} == {"twhin", "popularity", "als"}
    assert {m["metric"] for m in metrics} == {*OVER_QUERIES, *OVER_SOURCES}
    assert all(0 <= m["low"] <= m["value"] <= m["high"] <= 1 for m in metrics)
    for metric in ("mrr", "recall@10"):
        assert len({m["queries"] for m in metrics if m["metric"] == metric and m["relation"] == "borrow"}) == 1
    assert Path(str(library.first.report)).stat().st_size > 10_000
