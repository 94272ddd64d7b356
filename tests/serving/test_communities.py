"""Families of communities in the store: pinned versions, one numbering for two families, sparse neighbours."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from twhin_spark.config.serving import Score, ServingConfig
from twhin_spark.errors import ConfigError
from twhin_spark.representations.errors import RequestError
from twhin_spark.serving.neighbours import NeighbourQuery, find_neighbours
from twhin_spark.serving.scorer import Scorer
from twhin_spark.serving.store import RepresentationStore
from twhin_spark.serving.store_locations import published_families
from twhin_spark.serving.sync_store import sync_family

USERS = {"u1": {5: 2.0, 9: 1.0}, "u2": {7: 1.0}, "u3": {11: 4.0}}
ITEMS = {"i1": {9: 3.0, 7: 1.0}, "i2": {5: 1.0}, "i3": {2: 1.0}, "i4": {7: 0.5}}
SETTINGS = ServingConfig(communities=["interested_in", "item_embeddings"])


def publish(tables: Path, version: str, representations: Mapping[str, Mapping[str, Mapping[int, float]]]) -> None:
    """Write families by name and a row of `community_versions` that pins them, as the job does."""
    pins = {}
    for family, rows in representations.items():
        columns = {
            "entity_type": ["user" if family == "interested_in" else "item"] * len(rows),
            "entity_id": list(rows),
            "embedding": pa.array(
                [list(weights.items()) for weights in rows.values()], pa.map_(pa.int64(), pa.float32())
            ),
            "model_version": [version] * len(rows),
        }
        write_deltalake(str(tables / family), pa.table(columns), mode="overwrite")
        pins[family] = DeltaTable(tables / family).version()
    versions: list[dict[str, Any]] = []
    if (tables / "community_versions").exists():
        versions = DeltaTable(tables / "community_versions").to_pyarrow_table().to_pylist()
    rows_of_versions = [*({**row, "alias": None} for row in versions), {
        "model_version": version, "alias": "current", "tables": list(pins.items()),
    }]  # fmt: skip
    schema = pa.schema(
        [("model_version", pa.string()), ("alias", pa.string()), ("tables", pa.map_(pa.string(), pa.int64()))]
    )
    write_deltalake(
        str(tables / "community_versions"), pa.Table.from_pylist(rows_of_versions, schema), mode="overwrite"
    )


def open_families(output: Path, names: tuple[str, ...] = ()) -> RepresentationStore:
    for family in published_families(SETTINGS, str(output)):
        if family.name != "twhin":
            assert sync_family(output / "serving", family, names) == []
    return RepresentationStore.open(output / "serving", verify=True)


@pytest.fixture
def store(tmp_path: Path) -> RepresentationStore:
    publish(tmp_path / "tables", "c1", {"interested_in": USERS, "item_embeddings": ITEMS})
    return open_families(tmp_path)


def dot(user: str, item: str) -> float:
    return sum(weight * ITEMS[item].get(name, 0) for name, weight in USERS[user].items())


def test_a_source_and_a_target_of_two_families_share_the_numbers_of_communities(store: RepresentationStore) -> None:
    score = Score(family="interested_in", target_family="item_embeddings", measure="dot")
    pairs = [(user, item) for user in USERS for item in ITEMS]
    sources, targets = [("user", user) for user, _ in pairs], [("item", item) for _, item in pairs]
    scorer = Scorer(store)
    assert scorer.pairs(score, sources, targets).tolist() == [dot(*pair) for pair in pairs]
    assert scorer.model_versions == {"interested_in": "c1", "item_embeddings": "c1"}
    table = scorer.table(score, [("user", user) for user in USERS], [("item", item) for item in ITEMS])
    assert table.ravel().tolist() == [dot(*pair) for pair in pairs]


def test_neighbours_of_a_sparse_family_are_those_of_a_loop(store: RepresentationStore) -> None:
    version, items = store.version(family="interested_in"), store.version(family="item_embeddings")
    query = NeighbourQuery(entity=("user", "u1"), target_type="item", measure="dot")
    found = find_neighbours(version, query, time.monotonic() + 60, of=items)
    assert [(n.entity, n.score) for n in found.neighbours] == [(("item", "i1"), 3.0), (("item", "i2"), 2.0)]
    similar = find_neighbours(items, NeighbourQuery(entity=("item", "i1")), time.monotonic() + 60)
    (only,) = similar.neighbours
    assert only.entity == ("item", "i4")
    np.testing.assert_allclose(only.score, 1 / np.sqrt(10))
    none = find_neighbours(
        version, NeighbourQuery(entity=("user", "u3"), target_type="item"), time.monotonic() + 60, of=items
    )
    assert none.neighbours == []


def test_wrong_queries_are_one_line(store: RepresentationStore) -> None:
    version = store.version(family="interested_in")
    with pytest.raises(RequestError, match="'interested_in' is sparse, so its queries require an entity"):
        find_neighbours(version, NeighbourQuery(vector=[1.0], target_type="user"), time.monotonic() + 60)
    with pytest.raises(ConfigError, match=r"serving\.families\.interested_in is the name of a published family"):
        published_families(
            ServingConfig(communities=["interested_in"], families={"interested_in": {"table": "x"}}), "out"
        )


def test_versions_are_those_that_the_row_pins(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    publish(tables, "c1", {"interested_in": USERS, "item_embeddings": ITEMS})
    publish(tables, "c2", {"interested_in": {"u1": {5: 7.0}}, "item_embeddings": ITEMS})
    # A table that is written without a row of `community_versions`, as by a job that was killed, is not served.
    unfinished = DeltaTable(tables / "interested_in").to_pyarrow_table()
    write_deltalake(str(tables / "interested_in"), unfinished.slice(0, 0), mode="overwrite")
    store = open_families(tmp_path, ("c1",))
    assert store.get("user", "u1", family="interested_in") == {"5": 7.0}
    assert store.get("user", "u1", family="interested_in", version="c1") == {"5": 2.0, "9": 1.0}
    DeltaTable(tables / "community_versions").restore(0)  # a rollback
    assert open_families(tmp_path).get("user", "u2", family="interested_in") == {"7": 1.0}
    problems = sync_family(tmp_path / "serving", published_families(SETTINGS, str(tmp_path))[1], ("c9",))
    assert "version 'c9' was not published; use one of c1, current" in problems[0]
