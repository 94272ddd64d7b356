"""Whole builds: one copy, one id, rows that stay, and nothing half done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from tests.support.configs import RELATIONS, SELECT, small_config
from twhin_spark.config import Config
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.graph import build
from twhin_spark.graph.build import build_graph
from twhin_spark.graph.graph_version import GraphVersion, latest_graph
from twhin_spark.graph.packing import unpack
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import (
    EDGE_BUCKETS,
    EDGES,
    ENTITIES,
    EVENTS,
    GRAPH_TABLES,
    GRAPH_VERSIONS,
    REJECTED_EVENTS,
    ROW_COUNTS,
    Table,
)

PARTITIONS = 3


@dataclass
class Built:
    """Three builds in one folder: one day's log twice, then two days'."""

    store: TableStore
    configs: list[Config]
    graphs: list[GraphVersion]

    def read(self, table: Table, build: int) -> DataFrame:
        return self.store.read(table, self.graphs[build].tables[table.name])


def _log(seed: int, prefix: str, day: int) -> str:
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(400):
        user, other, item = (f"{prefix}{n}" for n in rng.integers(0, [40, 40, 60]))
        action = rng.choice(["follow", "like", "like", "unfollow"])
        target = item if action == "like" else other
        lines.append(
            f"{prefix}{i},{action},{user},{target},2026-05-{day:02d} 00:{i // 60:02d}:{i % 60:02d},{rng.random():.3f}"
        )
    broken = [f"{prefix}x,like,u1", f"{prefix}y,like,,i1,2026-05-{day:02d},1", lines[0], lines[7]]
    return "\n".join(["id,action,source,target,time,weight", *lines, *broken]) + "\n"


def _config(folder: Path, files: list[str], **sections: Any) -> Config:
    select = {**SELECT, "weight": "weight", "event_id": "id"}
    log = {"path": [str(folder / file) for file in files], "format": "csv", "options": {"header": True}}
    given: dict[str, Any] = {
        "relations": {**RELATIONS, "like": {"source": "user", "target": "item", "half_life_days": 0.01}},
        "graph": {"partitions": PARTITIONS, "block_edges": 16, "min_degree": {"item": 2}},
        "split": {"test": 0.1, "validation": 0.05},
    }
    return small_config(folder / "out", logs={"events": {**log, "select": select}}, **{**given, **sections})


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("build")
    (folder / "one.csv").write_text(_log(1, "m", 1))
    (folder / "two.csv").write_text(_log(2, "a", 2))  # its ids sort before the first day's
    configs = [_config(folder, files) for files in (["one.csv"], ["one.csv"], ["one.csv", "two.csv"])]
    store = TableStore(spark, configs[0].output)
    shuffle = spark.conf.get("spark.sql.shuffle.partitions")
    assert shuffle is not None
    graphs = []
    try:
        for config, partitions in zip(configs, ("2", "5", shuffle), strict=True):
            spark.conf.set("spark.sql.shuffle.partitions", partitions)
            graphs.append(build_graph(spark, config, lambda line: None))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", shuffle)
    return Built(store, configs, graphs)


def _sorted(rows: DataFrame) -> list[Row]:
    return sorted(rows.collect(), key=repr)


def test_a_second_build_of_the_same_logs_is_the_same_to_the_bit(built: Built) -> None:
    first, second, third = built.graphs
    assert first.graph_id == second.graph_id != third.graph_id
    for table in (*GRAPH_TABLES,):
        assert _sorted(built.read(table, 0)) == _sorted(built.read(table, 1)), table.name
    rows = built.store.read(GRAPH_VERSIONS).collect()
    assert {row["graph_id"]: row["tables"] for row in rows} == {
        second.graph_id: second.tables,
        third.graph_id: third.tables,
    }
    assert len(rows) == 2


def test_the_latest_graph_is_what_the_last_build_returned(built: Built) -> None:
    assert latest_graph(built.store) == built.graphs[2]
    assert set(built.graphs[2].tables) == {table.name for table in GRAPH_TABLES}
    config = json.loads(built.store.read(GRAPH_VERSIONS).collect()[0]["config"])
    assert config["graph"]["partitions"] == PARTITIONS
    assert Config.model_validate(config)


@pytest.mark.parametrize("number", [0, 2])
def test_every_row_is_accounted_for(built: Built, number: int) -> None:
    rows = built.graphs[number].rows
    days = 1 if number == 0 else 2
    assert rows["read"] == rows["accepted"] + rows["replayed"] + rows["rejected"] == 404 * days
    assert (rows["accepted"], rows["replayed"]) == (400 * days, 2 * days)
    assert rows["rejected_by_reason"] == {"malformed_line": days, "missing_source_id": days}
    assert rows["left_out"] == {"where": 0, "window": 0}
    assert rows["by_log"]["events"]["accepted"] == rows["accepted"]
    assert built.read(EVENTS, number).count() == rows["accepted"]
    assert built.read(REJECTED_EVENTS, number).count() == rows["rejected"]
    assert sum(rows["events"].values()) == rows["accepted"]
    assert rows["events"]["in_edges"] == built.read(EDGES, number).groupBy().sum("event_count").collect()[0][0]
    assert rows["events"]["taken_back"] > 0
    assert rows["events"]["below_min_degree"] > 0
    table = {(row["outcome"], row["reason"]): row["rows"] for row in built.read(ROW_COUNTS, number).collect()}
    assert table["read", None] == rows["read"]
    assert table["rejected", "malformed_line"] == days
    assert {name: table[name, None] for name in rows["events"]} == rows["events"]


def test_places_never_change(built: Built) -> None:
    first, third = (
        {(row["entity_type"], row["entity_id"]): (row["partition"], row["row"]) for row in rows}
        for rows in (built.read(ENTITIES, number).collect() for number in (0, 2))
    )
    assert first.items() < third.items()


@pytest.mark.parametrize("number", [0, 2])
def test_the_buckets_hold_exactly_the_training_edges(built: Built, number: int) -> None:
    places = {
        (row["entity_type"], row["partition"], row["row"]): row["entity_id"]
        for row in built.read(ENTITIES, number).collect()
    }
    types = {"follow": ("user", "user"), "like": ("user", "item")}
    found = {}
    blocks = built.read(EDGE_BUCKETS, number).collect()
    for row in blocks:
        assert row["edges"] <= 16
        (arrays,) = unpack(pa.Table.from_pylist([row.asDict()]))
        for source, target, relation, weight in zip(*[arrays[n].tolist() for n in arrays], strict=True):
            name = built.graphs[number].relations[relation]
            ends = zip(types[name], ("source_partition", "target_partition"), (source, target), strict=True)
            found[name, *[places[kind, row[partition], place] for kind, partition, place in ends]] = weight
    train = built.read(EDGES, number).where("split = 'train'").collect()
    assert found == {
        (row["relation"], row["source_id"], row["target_id"]): float(np.float32(row["weight"])) for row in train
    }
    assert sum(row["edges"] for row in blocks) == len(train)


def test_degrees_are_those_of_the_training_edges(built: Built) -> None:
    train = built.read(EDGES, 2).where("split = 'train'").collect()
    for row in built.read(ENTITIES, 2).collect():
        entity = (row["entity_type"], row["entity_id"])
        out = [edge for edge in train if (edge["source_type"], edge["source_id"]) == entity]
        into = [edge for edge in train if (edge["target_type"], edge["target_id"]) == entity]
        assert row["degree"] == len({edge[:5] for edge in out + into})
        assert sum(row["out_degree"].values()) == len(out)
        assert sum(row["in_degree"].values()) == len(into)


def test_the_reference_time_is_the_last_training_events(built: Built) -> None:
    for number, graph in enumerate(built.graphs):
        row = built.read(EVENTS, number).where("split = 'train'").selectExpr("unix_micros(max(timestamp)) AS t").first()
        assert row is not None
        assert graph.reference_time is not None
        assert graph.reference_time.timestamp() == row["t"] / 1e6


def test_columns_have_their_comments(built: Built) -> None:
    for table in (*GRAPH_TABLES, GRAPH_VERSIONS):
        fields = built.store.read(table).schema.fields
        assert [(f.name, f.metadata.get("comment")) for f in fields] == [(c.name, c.comment) for c in table.columns]


@pytest.mark.slow
def test_a_build_that_dies_leaves_the_one_before(
    spark: SparkSession, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> DataFrame:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "pack_buckets", die)
    with pytest.raises(KeyboardInterrupt):
        build_graph(spark, built.configs[0], lambda line: None)
    graph = latest_graph(built.store)
    assert graph == built.graphs[2]
    assert built.store.version(EDGES) == graph.tables["edges"] + 1
    assert built.read(EDGES, 2).groupBy().sum("event_count").collect()[0][0] == graph.rows["events"]["in_edges"]


def test_the_number_of_partitions_is_fixed(spark: SparkSession, built: Built) -> None:
    config = built.configs[0]
    other = config.model_copy(update={"graph": config.graph.model_copy(update={"partitions": 4})})
    with pytest.raises(ConfigError, match=r"^graph\.partitions is 4, but must be 3 as in the first build in "):
        build_graph(spark, other, lambda line: None)


def test_without_a_build_there_is_no_graph(spark: SparkSession, scratch: Path) -> None:
    with pytest.raises(InputError, match=r"^no graph in .*; run build-graph first$"):
        latest_graph(TableStore(spark, str(scratch)))


def test_without_a_training_edge_there_is_no_graph(spark: SparkSession, scratch: Path) -> None:
    (scratch / "log.csv").write_text("id,action,source,target,time,weight\n1,follow,a,a,2026-05-01,1\n")
    with pytest.raises(
        InputError, match=r"^no training edge is left of 1 accepted events \(1 self_loop; edges: none\);"
    ):
        build_graph(spark, _config(scratch, ["log.csv"], split={"test": 0, "validation": 0}), lambda line: None)
    with pytest.raises(InputError, match="run build-graph first"):
        latest_graph(TableStore(spark, str(scratch / "out")))


def test_events_that_do_not_add_up_are_found(
    spark: SparkSession, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count: Callable[[DataFrame, Config], Any] = build.count_exclusions
    monkeypatch.setattr(build, "count_exclusions", lambda events, config: replace(count(events, config), taken_back=5))
    (scratch / "log.csv").write_text("id,action,source,target,time,weight\n1,follow,a,b,2026-05-01,1\n")
    with pytest.raises(Exception, match=r"1 events do not add up to 1 in_edges, 5 taken_back; this is a bug"):
        build_graph(spark, _config(scratch, ["log.csv"], split={"test": 0, "validation": 0}), lambda line: None)
