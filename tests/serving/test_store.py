from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable

from tests.support.published_tables import DEGREE, DIM, Tables, vectors
from twhin_spark.representations.catalogue import Catalogue
from twhin_spark.representations.errors import NotServedError, RequestError, StoreError
from twhin_spark.serving.store import RepresentationStore, StoredFamily
from twhin_spark.serving.sync_store import sync_family

LONG = "ü" * 5000
ODD_IDS = ["", " ", "a/b?c=d", "0", "00", "日本", "\x00", LONG]


def opened(root: Path, tables: Tables, *names: str, keep: int = 2) -> RepresentationStore:
    assert sync_family(root, tables.family, names, keep=keep) == []
    return RepresentationStore.open(root, verify=True)


def test_every_entity_has_its_own_vector(root: Path, tables: Tables) -> None:
    tables.publish("m1", n=3000)
    store = opened(root, tables)
    expected = {"user": vectors(0, 3000), "tweet": vectors(1000, 3000)}
    for i in np.random.default_rng(0).permutation(3000)[:500].tolist():
        np.testing.assert_array_equal(store.get("user", f"u{i}"), expected["user"][i])
        np.testing.assert_array_equal(store.get("tweet", f"t{i}"), expected["tweet"][i])
        assert store.get("user", f"t{i}") is None
    version = store.version()
    np.testing.assert_allclose(version.types["user"].rows.norms, np.linalg.norm(expected["user"], axis=1), rtol=1e-6)
    assert version.degrees([("user", "u1"), ("user", "nobody")]) == [DEGREE, None]
    assert version.manifest.dim == DIM


def test_representations_have_the_order_of_the_entities(root: Path, tables: Tables) -> None:
    tables.publish("m1")
    users, tweets = vectors(0, 20), vectors(1000, 20)
    entities = [("tweet", "t3"), ("user", "u1"), ("user", "nobody"), ("tweet", "t3"), ("user", "t3"), ("user", "u0")]
    expected = [tweets[3], users[1], None, tweets[3], None, users[0]]
    store = opened(root, tables)
    for vector, row in zip(store.get_many(entities), expected, strict=True):
        np.testing.assert_array_equal(vector, row)
    gathered = store.version().gather(entities)
    assert (gathered.position == -1).tolist() == [row is None for row in expected]
    np.testing.assert_array_equal(
        gathered.matrix[gathered.position[[0, 1, 3, 5]]], [tweets[3], users[1], tweets[3], users[0]]
    )
    assert store.get_many([]) == []


def test_ids_may_be_any_text(root: Path, tables: Tables) -> None:
    tables.publish("m1", {"user": {name: [i, 0, 0, 1] for i, name in enumerate(ODD_IDS)}})
    store = opened(root, tables)
    for i, name in enumerate(ODD_IDS):
        assert store.get("user", name)[0] == i
    assert store.get("user", LONG[:-1]) is None
    assert store.get("user", "\ud800") is None


def test_ids_whose_hashes_collide_are_distinguished(
    root: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twhin_spark.serving.id_index.xxhash.xxh3_64_intdigest", lambda text: len(text))
    tables.publish("m1", n=200)
    store = opened(root, tables)
    for i, vector in enumerate(vectors(0, 200)):
        np.testing.assert_array_equal(store.get("user", f"u{i}"), vector)
    assert store.get("user", "u200") is None


def test_a_vector_cannot_be_changed(root: Path, tables: Tables) -> None:
    tables.publish("m1")
    with pytest.raises(ValueError, match="read-only"):
        opened(root, tables).get("user", "u1")[0] = 1


def test_unknown_names_are_errors(root: Path, tables: Tables) -> None:
    tables.publish("m1")
    store = opened(root, tables)
    with pytest.raises(RequestError, match="unknown entity type 'artist'; use one of tweet, user"):
        store.get("artist", "1")
    with pytest.raises(NotServedError, match="version 'm0' is not served; use one of current, m1"):
        store.get("user", "u1", version="m0")
    with pytest.raises(NotServedError, match="family 'other' is not served; use one of twhin"):
        store.get("user", "u1", family="other")


def test_a_rollback_finds_the_old_store(root: Path, tables: Tables) -> None:
    first = tables.publish("m1", seed=1)
    old = opened(root, tables)
    tables.publish("m2", seed=2)
    new = opened(root, tables)
    folder = new.version("m1").folder
    assert (old.version().name, new.version().name) == ("m1", "m2")
    np.testing.assert_array_equal(new.get("user", "u0", version="m1"), vectors(1, 20)[0])
    built = (folder / "manifest.json").stat().st_mtime_ns
    tables.roll_back(first)
    back = opened(root, tables)
    assert back.version().folder == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == built
    assert back.families["twhin"].catalogue.entries[0].table_version == DeltaTable(tables.embeddings).version()
    np.testing.assert_array_equal(old.get("user", "u0"), back.get("user", "u0"))


def test_a_version_published_again_with_other_rows_is_another_store(root: Path, tables: Tables) -> None:
    tables.publish("m1", seed=1)
    old = opened(root, tables)
    tables.publish("m1", seed=2)
    new = opened(root, tables)
    np.testing.assert_array_equal(old.get("user", "u0"), vectors(1, 20)[0])
    np.testing.assert_array_equal(new.get("user", "u0", version="m1"), vectors(2, 20)[0])


def test_old_stores_are_removed_unless_they_have_an_alias(root: Path, tables: Tables) -> None:
    for i in range(4):
        tables.publish(f"m{i}", seed=i)
        store = opened(root, tables, "m0", keep=2)
    assert {version.name for version in store.families["twhin"].versions.values()} == {"m0", "m2", "m3"}
    assert len([path for path in (root / "twhin").iterdir() if path.is_dir()]) == 3
    store = opened(root, tables, keep=1)
    assert {version.name for version in store.families["twhin"].versions.values()} == {"m3"}


def test_an_open_version_is_not_opened_again(root: Path, tables: Tables) -> None:
    tables.publish("m1")
    family = opened(root, tables).families["twhin"]
    tables.publish("m2")
    sync_family(root, tables.family)
    again = StoredFamily.open(root / "twhin", reuse=family)
    assert again.version("m1") is family.version("m1")


def test_a_missing_store_is_one_line(root: Path) -> None:
    with pytest.raises(StoreError, match="no stores"):
        RepresentationStore.open(root)
    assert Catalogue.read(root) == Catalogue()


def test_vectors_are_given_in_the_space_of_an_earlier_version(root: Path, tables: Tables) -> None:
    """Version m3 was mapped to m2, and m2 to m1, so m3 has a map to both."""
    rng = np.random.default_rng(5)
    steps = {("m3", "m2"): rng.normal(size=(DIM, DIM)), ("m2", "m1"): rng.normal(size=(DIM, DIM))}
    for seed, name in enumerate(("m1", "m2", "m3")):
        tables.publish(name, seed=seed)
    tables.publish_maps(steps)
    store, vector = opened(root, tables), vectors(2, 20)[7]
    np.testing.assert_array_equal(store.get("user", "u7"), vector)
    np.testing.assert_array_equal(store.get("user", "u7", space="m3"), vector)
    np.testing.assert_allclose(store.get("user", "u7", space="m2"), vector @ steps["m3", "m2"], rtol=1e-5)
    mapped = vector @ steps["m3", "m2"] @ steps["m2", "m1"]
    entities = [("user", "u7"), ("user", "nobody")]
    np.testing.assert_allclose(store.get_many(entities, space="m1")[0], mapped, rtol=1e-5)
    assert store.get_many(entities, space="m1")[1] is None
    with pytest.raises(RequestError, match="no map leads to space 'm9'; use one of m1, m2, m3"):
        store.get("user", "u7", space="m9")
