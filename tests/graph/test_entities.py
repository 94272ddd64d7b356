"""Places that never change, whatever collides."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa
import pytest
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.graph import entities
from twhin_spark.graph.buckets import locate
from twhin_spark.graph.entities import count_collisions, place_entities, with_degrees

Places = dict[tuple[str, str], tuple[int, int]]


def _found(spark: SparkSession, *ids: str) -> DataFrame:
    """Each id is a user and an item."""
    rows = [(kind, name) for kind in ("user", "item") for name in ids]
    return spark.createDataFrame(rows, "entity_type STRING, entity_id STRING")


def _places(placed: DataFrame) -> Places:
    rows = placed.collect()
    places = {(row["entity_type"], row["entity_id"]): (row["partition"], row["row"]) for row in rows}
    assert len(places) == len(rows)
    return places


def _check_dense(places: Places) -> None:
    """Rows of each (type, partition) are 0 to n - 1."""
    rows = defaultdict(list)
    for (kind, _), (partition, row) in places.items():
        rows[kind, partition].append(row)
    assert all(sorted(found) == list(range(len(found))) for found in rows.values())


def test_rows_are_numbered_by_id_within_type_and_partition(spark: SparkSession) -> None:
    ids = [f"id {i}" for i in range(200)]
    places = _places(place_entities(_found(spark, *ids), None, 4))
    assert len(places) == 400
    _check_dense(places)
    ordered = sorted(places.items(), key=lambda item: (item[0][0], item[1]))
    assert ordered == sorted(places.items(), key=lambda item: (item[0][0], item[1][0], item[0][1]))
    used = [sum(partition == p for partition, _ in places.values()) for p in range(4)]
    assert min(used) > 60
    again = place_entities(_found(spark, *reversed(ids)).repartition(5), None, 4)
    assert _places(again) == places


def test_a_second_build_keeps_every_place_and_appends(spark: SparkSession) -> None:
    first = place_entities(_found(spark, *[f"b{i}" for i in range(50)]), None, 3)
    second = place_entities(_found(spark, *[f"a{i}" for i in range(30)], "b7"), first, 3)  # sorts before the first
    before, after = _places(first), _places(second)
    assert before.items() <= after.items()
    assert len(after) == 160
    _check_dense(after)
    assert second.where("entity_key IS NULL").count() == 0


def test_degrees_go_by_place_and_are_0_without_an_edge(spark: SparkSession) -> None:
    placed = place_entities(_found(spark, "a", "b"), None, 1)
    counted = spark.createDataFrame(
        [("user", 0, 1, 3, {"like": 3}, {})],
        "entity_type STRING, partition INT, row INT, degree BIGINT, out_degree MAP<STRING,BIGINT>, "
        "in_degree MAP<STRING,BIGINT>",
    )
    rows = {(row["entity_type"], row["entity_id"]): row for row in with_degrees(placed, counted).collect()}
    assert rows["user", "b"][5:] == (3, {"like": 3}, {})
    assert [rows[other][5:] for other in (("user", "a"), ("item", "a"), ("item", "b"))] == [(0, {}, {})] * 3


@pytest.mark.parametrize("keys", [1, 5])
def test_entities_with_one_hash_are_counted_and_kept_apart(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, keys: int
) -> None:
    def few_keys(entity_type: Column, entity_id: Column) -> Column:
        return F.pmod(F.xxhash64(entity_type, entity_id), F.lit(keys))

    monkeypatch.setattr(entities, "entity_key", few_keys)
    ids = [f"n{i}" for i in range(20)]
    placed = place_entities(_found(spark, *ids), None, 2)
    places = _places(placed)
    assert len(set(zip([kind for kind, _ in places], places.values(), strict=True))) == 40
    _check_dense(places)
    assert count_collisions(placed) == 40
    second = place_entities(_found(spark, *ids, "more"), placed, 2)
    assert places.items() <= _places(second).items()

    edges = spark.createDataFrame(
        [("like", "user", name, "item", ids[-i], "train", 1.0) for i, name in enumerate(ids)],
        "relation STRING, source_type STRING, source_id STRING, target_type STRING, target_id STRING, split STRING, "
        "weight DOUBLE",
    )
    located = locate(edges, placed, ["like"], 40, collisions=40).collect()
    found = {(r["source_partition"], r["source"], r["target_partition"], r["target"]) for r in located}
    assert len(located) == 20
    assert found == {places["user", name] + places["item", ids[-i]] for i, name in enumerate(ids)}


def test_an_end_comes_once_a_chunk_of_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = pa.RecordBatch.from_pylist(
        [
            {"source_type": "user", "source_id": "a", "target_type": "user", "target_id": "b"},
            {"source_type": "user", "source_id": "b", "target_type": "item", "target_id": "a"},
        ]
    )
    once = [("item", "a"), ("user", "a"), ("user", "b")]
    for chunk_bytes, times in ((10**9, 1), (2 * batch.nbytes, 2), (1, 3)):
        monkeypatch.setattr(entities, "_CHUNK_BYTES", chunk_bytes)
        found = pa.Table.from_batches(entities._ends_once([batch] * 3)).to_pylist()
        assert sorted(tuple(row[name] for name in entities.ENTITY) for row in found) == sorted(once * times)


def test_without_collisions_none_is_counted(spark: SparkSession) -> None:
    assert count_collisions(place_entities(_found(spark, "a", "b"), None, 2)) == 0
