"""Versions as objects: commands, two publishers at once, kills at each step, vacuum, fold-in, and what readers see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.second_day import write_day, write_shop
from twhin_spark.config import Config, load_config
from twhin_spark.errors import ConfigError, InputError, TwhinError
from twhin_spark.graph.build import build_graph
from twhin_spark.publishing import manage_versions as manage
from twhin_spark.publishing.fold_in import fold_in
from twhin_spark.publishing.publish import publish
from twhin_spark.publishing.vacuum import vacuum
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, MODEL_VERSIONS, RELATIONS
from twhin_spark.training import train as training
from twhin_spark.training.trained_run import TrainedRun

QUICK = ["publishing.drift=false", "training.epochs=1"]


@dataclass
class Shop:
    """A graph with three trainings, of which tests publish what they need."""

    spark: SparkSession
    file: Path
    store: TableStore
    runs: dict[str, TrainedRun]

    def config(self, seed: int = 0, *options: str) -> Config:
        return load_config(self.file, [*QUICK, f"training.seed={seed}", *options])

    def publish(self, seed: int) -> str:
        publish(self.spark, self.config(seed), self.runs[str(seed)], print)
        return self.runs[str(seed)].run_id

    def read(self) -> tuple[str, dict[tuple[str, str], tuple[float, ...]]]:
        """Return the current version as any reader sees it: one name, whose relations are there, and its vectors."""
        rows = deltalake.DeltaTable(self.store.path(EMBEDDINGS)).to_pyarrow_table().to_pylist()
        (name,) = {row["model_version"] for row in rows}
        relations = deltalake.DeltaTable(self.store.path(RELATIONS)).to_pyarrow_table().to_pylist()
        assert sum(row["model_version"] == name for row in relations) == 2
        return name, {(row["entity_type"], row["entity_id"]): tuple(row["embedding"]) for row in rows}

    def names(self) -> set[str]:
        return {row["model_version"] for row in self.store.read(MODEL_VERSIONS).collect()}


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("versions")
    file = write_shop(folder)
    config = load_config(file, QUICK)
    build_graph(spark, config, print)
    runs = {str(s): training.train(spark, load_config(file, [*QUICK, f"training.seed={s}"]), print) for s in range(3)}
    shop = Shop(spark, file, TableStore(spark, config.output), runs)
    for seed in (0, 1):
        shop.publish(seed)
    return shop


def test_a_rollback_makes_a_version_current_without_a_copy(shop: Shop) -> None:
    first, second = (shop.runs[seed].run_id for seed in "01")
    files = shop.store.files(EMBEDDINGS)
    assert shop.read()[0] == second
    done = manage.roll_back(shop.store, first, print)
    assert (done["model_version"], done["before"]) == (first, second)
    assert shop.read()[0] == first
    assert [row["model_version"] for row in manage.list_versions(shop.store) if row["current"]] == [first]
    aliases = {row["model_version"]: row["alias"] for row in shop.store.read(MODEL_VERSIONS).collect()}
    assert aliases == {first: "current", second: None}
    manage.roll_back(shop.store, second, print)
    assert shop.store.files(EMBEDDINGS) == files
    assert manage.roll_back(shop.store, second, print)["before"] == second  # nothing to do
    with pytest.raises(InputError, match="versions rollback: version 'gold' was not published; use one of"):
        manage.roll_back(shop.store, "gold", print)


def test_a_tag_stays_with_its_version(shop: Shop) -> None:
    first, second = (shop.runs[seed].run_id for seed in "01")
    assert manage.tag_version(shop.store, first, "gold")["tags"] == ["gold"]
    assert manage.tag_version(shop.store, first, "gold")["tags"] == ["gold"]
    assert manage.show_version(shop.store, "gold")["model_version"] == first
    with pytest.raises(InputError, match=f"tag 'gold' is that of version '{first}'; untag it first"):
        manage.tag_version(shop.store, second, "gold")
    with pytest.raises(InputError, match="is the name of a version"):
        manage.tag_version(shop.store, first, second)
    for wrong in ("current", "a b", ""):
        with pytest.raises(ConfigError, match="must be letters"):
            manage.tag_version(shop.store, first, wrong)
    assert manage.untag_version(shop.store, "gold")["tags"] == []
    with pytest.raises(InputError, match="tag 'gold' is no version's"):
        manage.untag_version(shop.store, "gold")


def test_a_version_tells_what_it_is(shop: Shop) -> None:
    about = manage.show_version(shop.store, "current")
    assert about["run_id"] == shop.runs["1"].run_id
    assert about["aligned_to"] == shop.runs["0"].run_id
    assert about["config"]["training"]["seed"] == 1
    assert about["entities"] == {"item": 30, "user": 60}
    difference = manage.diff_versions(shop.store, shop.runs["0"].run_id, "current")
    assert {row["measure"] for row in difference["drift"]} >= {"cosine", "l2", "neighbour_overlap@10", "came", "went"}


class KilledError(Exception):
    """The death of a publisher."""


STEPS = [(step, after) for step in ("commit_after", "overwrite", "require", "upsert") for after in (True, False)]


@pytest.mark.parametrize(("step", "after"), [STEPS[0], *(pytest.param(*s, marks=pytest.mark.slow) for s in STEPS[1:])])
def test_a_publish_that_is_killed_leaves_a_whole_version(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """The publisher dies before or after each of its writes; the next publish mends what it has left."""
    before, seed = shop.read(), 2 if shop.read()[0] != shop.runs["2"].run_id else 0
    whole = getattr(TableStore, step)

    def dies(self: TableStore, *args: Any, **kwargs: Any) -> Any:
        if after:
            whole(self, *args, **kwargs)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(TableStore, step, dies)
        if step == "require":
            shop.store.release(EMBEDDINGS, "embedding_dim")
        with pytest.raises(KilledError):
            shop.publish(seed)
    name, vectors = shop.read()
    published = step in ("require", "upsert") or (step == "commit_after" and after)
    assert name == (shop.runs[str(seed)].run_id if published else before[0])
    assert published or vectors == before[1]
    known = shop.names()
    name = shop.publish(seed)
    assert shop.read()[0] == name
    assert shop.names() == known | {name}
    assert [row["model_version"] for row in manage.list_versions(shop.store) if row["current"]] == [name]
    assert shop.store.constraint(EMBEDDINGS, "embedding_dim") == "size(embedding)=8"


def _both(*works: Callable[[], object]) -> list[str]:
    """Run works at once; return the errors that end them."""
    errors: list[str] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except TwhinError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.fixture
def reader(shop: Shop) -> Iterator[list[str]]:
    """Read the current version in a loop while a test runs; every reading must be whole."""
    stop, problems, known = threading.Event(), [], {run.run_id for run in shop.runs.values()}

    def loop() -> None:
        while not stop.is_set():
            try:
                assert shop.read()[0] in known
            except Exception as error:
                problems.append(repr(error))

    thread = threading.Thread(target=loop)
    thread.start()
    yield problems
    stop.set()
    thread.join()
    assert not problems


def test_of_two_publishers_at_once_one_wins_and_the_other_is_told(shop: Shop, reader: list[str]) -> None:
    errors = _both(lambda: shop.publish(0), lambda: shop.publish(1))
    assert len(errors) == 1
    assert "not published: another job has changed" in errors[0]
    assert not reader
    assert shop.names() == {run.run_id for run in shop.runs.values()}
    current = [row["model_version"] for row in manage.list_versions(shop.store) if row["current"]]
    assert current == [shop.read()[0]]


@pytest.mark.slow
def test_a_vacuum_keeps_what_is_needed_and_says_what_it_frees(shop: Shop) -> None:
    shop.publish(0)
    shop.publish(1)
    name = shop.publish(2)
    manage.tag_version(shop.store, shop.runs["0"].run_id, "gold")
    said = vacuum(shop.store, shop.config(), print, keep=1, dry_run=True)
    assert said["deleted"] == [shop.runs["1"].run_id]
    assert said["kept"] == {name: "current", shop.runs["0"].run_id: "tagged gold"}
    assert said["bytes"] > 0
    assert shop.runs["1"].folder.state_files()
    before = shop.read()
    assert vacuum(shop.store, shop.config(), print, keep=1, dry_run=False) == {**said, "dry_run": False}
    assert shop.read() == before
    assert not shop.runs["1"].folder.state_files()
    with pytest.raises(InputError, match="was vacuumed on"):
        manage.roll_back(shop.store, shop.runs["1"].run_id, print)
    manage.roll_back(shop.store, "gold", print)
    assert shop.read()[0] == shop.runs["0"].run_id
    again = vacuum(shop.store, shop.config(), print, keep=1, dry_run=False)
    assert again["kept"] == {name: "among the newest 1", shop.runs["0"].run_id: "current"}
    manage.untag_version(shop.store, "gold")


def test_a_fold_in_adds_new_entities_and_changes_none(shop: Shop) -> None:
    write_day(shop.file.parent, 2)
    build_graph(shop.spark, shop.config(), print)
    name, before = shop.read()
    version = shop.store.version(EMBEDDINGS)
    done = fold_in(shop.spark, shop.config(), print)
    assert done.entities == {"item": 3, "user": 6}
    assert shop.store.version(EMBEDDINGS) == done.table_version == (version or 0) + 1
    after = shop.read()
    assert after[0] == name
    assert {entity: after[1][entity] for entity in before} == before
    rows = shop.store.read(EMBEDDINGS).where("origin = 'folded_in'").collect()
    assert {row["entity_id"] for row in rows} == {*(f"u{60 + i}" for i in range(6)), *(f"i{30 + i}" for i in range(3))}
    for row in rows:
        assert np.isfinite(row["embedding"]).all()
        assert row["norm"] == pytest.approx(np.linalg.norm(row["embedding"]), rel=1e-5)
    assert {row["table_version"] for row in manage.list_versions(shop.store) if row["current"]} == {done.table_version}
    assert fold_in(shop.spark, shop.config(), print, fast=True).entities == {}
