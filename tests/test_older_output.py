"""An output that an earlier commit wrote, 9d1dc7d, is read, started from, published onto and rolled back to.

The fixture holds day 1 of tests/support/second_day.py, published, and another training of four groups which was killed.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.second_day import write_day, write_shop
from twhin_spark.config import load_config
from twhin_spark.errors import TwhinError
from twhin_spark.graph.build import build_graph
from twhin_spark.publishing import manage_versions as manage
from twhin_spark.publishing.publish import publish
from twhin_spark.serving.open_store import open_store
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS
from twhin_spark.training import train as training

ARCHIVE = Path(__file__).parent / "fixtures" / "output-9d1dc7d.tar.xz"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return the config of a shop whose output is the older one."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return write_shop(tmp_path)


@pytest.mark.slow
def test_the_second_day_goes_on_from_it(spark: SparkSession, shop: Path) -> None:
    config = load_config(shop, ["training.start={}", "training.epochs=1", "publishing.drift=false"])
    store = TableStore(spark, config.output)
    (before,) = manage.list_versions(store)
    assert before["current"]
    old = {(row["entity_type"], row["entity_id"]): row["embedding"] for row in store.read(EMBEDDINGS).collect()}
    write_day(shop.parent, 2)
    build_graph(spark, config, print)
    run = training.train(spark, config, print)
    publish(spark, config, run, print)
    versions = manage.list_versions(store)
    assert [version["model_version"] for version in versions] == [run.run_id, before["model_version"]]
    assert manage.show_version(store, "current")["aligned_to"] == before["model_version"]
    assert manage.roll_back(store, before["model_version"], print)["before"] == run.run_id
    now = {(row["entity_type"], row["entity_id"]): row["embedding"] for row in store.read(EMBEDDINGS).collect()}
    assert now == old


def test_the_service_reads_it(shop: Path) -> None:
    vector = open_store(load_config(shop)).get("user", "u3")
    assert isinstance(vector, np.ndarray)
    assert vector.shape == (8,)


def test_an_unfinished_training_of_several_groups_is_refused_in_a_line(spark: SparkSession, shop: Path) -> None:
    config = load_config(shop, ["name=shop4", "training.groups=4", "training.epochs=4000"])
    with pytest.raises(
        TwhinError, match=r"an earlier version began the unfinished run shop4-[0-9a-f]+ with another order of edges"
    ) as refused:
        training.train(spark, config, print, resume=True)
    assert "\n" not in str(refused.value)
