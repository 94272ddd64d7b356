"""The job `communities` on a small graph: representations by matrices, bits by number of tasks, ids, candidates."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.candidate_graph import PlantedGraph
from tests.support.candidate_graph import config as graph_config
from twhin_spark.communities.build_communities import CommunitiesResult, build_communities
from twhin_spark.config import Config
from twhin_spark.config.consistency import problems
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.retrieval.find_candidates import find_candidates
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import CANDIDATES, COMMUNITY_TABLES, EDGES, TABLES

SETTINGS: dict[str, Any] = {
    "consumers": {"relations": {"follow": 2.5}},
    "similarity": {"min_consumers": 3, "max_producers": 20, "neighbours": 8},
    "known_for": {"resolution": 2},
    "interested_in": {"social_proof": 2, "top": 4},
    "producers": {"least_cosine": 0.05, "norm": 0.5, "top": 3},
    "items": {"relations": {"like": 1}, "min_engagements": 2, "least_weight": 0.05, "top": 3},
    "index": {"top": 10},
}
QUERY = {"relation": "like", "exclude": ["like"], "k": 6, "method": "communities"}
Maps = dict[str, dict[int, float]]


def config(output: Path | str, section: Any = SETTINGS, **retrieval: Any) -> Config:
    document = graph_config(output, 4, **retrieval).model_dump(by_alias=True)
    return Config.model_validate({**document, "communities": section})


@pytest.fixture(scope="module")
def output(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a graph with planted vectors."""
    folder = tmp_path_factory.mktemp("communities")
    PlantedGraph().publish(spark, folder, 4)
    return folder


@pytest.fixture(scope="module")
def result(spark: SparkSession, output: Path) -> CommunitiesResult:
    return build_communities(spark, config(output), lambda line: None)


@contextmanager
def tasks(spark: SparkSession, count: int) -> Iterator[None]:
    """Set the number of tasks of every shuffle."""
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", count)
    spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    yield
    spark.conf.unset("spark.sql.adaptive.coalescePartitions.enabled")
    assert before is not None
    spark.conf.set("spark.sql.shuffle.partitions", before)


def rows_of(spark: SparkSession, output: Path, name: str, versions: dict[str, int]) -> list[Any]:
    table = next(table for table in TABLES if table.name == name)
    return TableStore(spark, str(output)).read(table, versions[name]).collect()


def maps_of(spark: SparkSession, output: Path, name: str, versions: dict[str, int]) -> Maps:
    return {row["entity_id"]: row["embedding"] for row in rows_of(spark, output, name, versions)}


def weights_of(spark: SparkSession, output: Path, relation: str) -> dict[tuple[str, str], float]:
    edges = TableStore(spark, str(output)).read(EDGES).where(f"split = 'train' AND relation = '{relation}'")
    return {(row["source_id"], row["target_id"]): row["weight"] for row in edges.collect()}


def largest(weights: dict[int, float], count: int) -> dict[int, float]:
    return dict(sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))[:count])


def assert_same_maps(found: Maps, expected: Maps) -> None:
    assert found.keys() == {name for name, weights in expected.items() if weights}
    for name, weights in found.items():
        assert weights == pytest.approx(expected[name], rel=1e-6)


def test_the_similarity_makes_communities(spark: SparkSession, output: Path, result: CommunitiesResult) -> None:
    known_for = rows_of(spark, output, "known_for", result.version.tables)
    communities = {row["community"]: row for row in rows_of(spark, output, "communities", result.version.tables)}
    members = defaultdict(list)
    for row in known_for:
        members[row["community"]].append(row)
    assert len(members) > 2
    assert members.keys() == communities.keys()
    assert sum(map(len, members.values())) == len({row["entity_id"] for row in known_for})
    for name, rows in members.items():
        assert len(rows) == communities[name]["size"] > 1
        np.testing.assert_allclose(sum(row["weight"] ** 2 for row in rows), 1)
        first = min(rows, key=lambda row: (-row["weight"], row["entity_id"]))
        assert communities[name]["members"][0]["entity_id"] == first["entity_id"]
        assert communities[name]["change"] == "new"
        assert communities[name]["born"] == result.version.model_version
    assert result.counts["cut_edges"] > 0


def test_representations_are_products_of_matrices(spark: SparkSession, output: Path, result: CommunitiesResult) -> None:
    tables = result.version.tables
    follows = {edge: 2.5 * weight for edge, weight in weights_of(spark, output, "follow").items()}
    known_for = {row["entity_id"]: row for row in rows_of(spark, output, "known_for", tables)}
    interests: Maps = defaultdict(dict)
    proofs: dict[tuple[str, int], int] = defaultdict(int)
    for (user, producer), weight in follows.items():
        if producer in known_for:
            community = known_for[producer]["community"]
            added = weight * known_for[producer]["weight"]
            interests[user][community] = interests[user].get(community, 0) + added
            proofs[user, community] += 1
    interests = {
        user: largest({name: weight for name, weight in weights.items() if proofs[user, name] >= 2}, 4)
        for user, weights in interests.items()
    }
    assert_same_maps(maps_of(spark, output, "interested_in", tables), interests)

    lengths: dict[int, float] = defaultdict(float)
    for weights in interests.values():
        for name, weight in weights.items():
            lengths[name] += weight**2
    producers: Maps = {}
    for producer in {name for _, name in follows}:
        column = {user: weight for (user, name), weight in follows.items() if name == producer}
        norm = np.sqrt(sum(weight**2 for weight in column.values()))
        dots: dict[int, float] = defaultdict(float)
        for user, weight in column.items():
            for name, interest in interests.get(user, {}).items():
                dots[name] += weight * interest
        cosines = {name: dot / norm / np.sqrt(lengths[name]) for name, dot in dots.items()}
        producers[producer] = largest({name: norm**0.5 * c for name, c in cosines.items() if c >= 0.05}, 3)
    assert_same_maps(maps_of(spark, output, "producer_embeddings", tables), producers)


def test_items_are_sums_of_interests_that_decay(spark: SparkSession, output: Path, result: CommunitiesResult) -> None:
    interests = maps_of(spark, output, "interested_in", result.version.tables)
    edges = TableStore(spark, str(output)).read(EDGES).where("split = 'train'").collect()
    latest = max(row["last_time"] for row in edges)
    sums: Maps = defaultdict(lambda: defaultdict(float))
    engagers: dict[str, set[str]] = defaultdict(set)
    for row in edges:
        if row["relation"] == "like":
            engagers[row["target_id"]].add(row["source_id"])
            decay = 2 ** (-(latest - row["last_time"]).total_seconds() / 3600 / 8)
            for name, weight in interests.get(row["source_id"], {}).items():
                sums[row["target_id"]][name] += decay * weight
    items = {
        item: largest({name: weight for name, weight in sums[item].items() if weight >= 0.05}, 3)
        for item in sums
        if len(engagers[item]) >= 2
    }
    found = maps_of(spark, output, "item_embeddings", result.version.tables)
    assert found.keys() == {name for name, weights in items.items() if weights}
    for name, weights in found.items():
        np.testing.assert_allclose(sorted(weights.values()), sorted(items[name].values()), rtol=1e-5)
    index = rows_of(spark, output, "community_index", result.version.tables)
    assert {row["entity_type"] for row in index} == {"user", "item"}
    for row in index:
        if row["entity_type"] == "item":
            assert row["weight"] == found[row["entity_id"]][row["community"]]
            assert 1 <= row["rank"] <= 10


@pytest.mark.slow
def test_any_number_of_tasks_gives_the_same_bits(
    spark: SparkSession, output: Path, tmp_path: Path, result: CommunitiesResult
) -> None:
    contents = []
    for count in (1, 7):
        copy = tmp_path / f"tasks{count}"
        shutil.copytree(output / "tables", copy / "tables")
        for table in COMMUNITY_TABLES:
            shutil.rmtree(copy / "tables" / table.name)
        shutil.rmtree(copy / "tables" / "community_versions")
        with tasks(spark, count):
            again = build_communities(spark, config(copy), lambda line: None)
        assert again.version.model_version == result.version.model_version
        contents.append(
            {
                name: sorted(map(str, rows_of(spark, copy, name, v)))
                for name, v in ((name, again.version.tables) for name in again.version.tables)
            }
        )
    first = {name: sorted(map(str, rows_of(spark, output, name, result.version.tables))) for name in contents[0]}
    assert contents[0] == contents[1] == first


def test_candidates_by_communities_are_those_of_a_loop(
    spark: SparkSession, output: Path, result: CommunitiesResult
) -> None:
    queries = {"sparse": QUERY, "dense": {**QUERY, "method": "exact"}}
    blends = {"both": {"queries": {"sparse": 1, "dense": 1}, "k": 6}}
    search = {"communities": 2, "targets": 3}
    settings = config(output, queries=queries, blends=blends, communities=search)
    assert not problems(settings)
    find_candidates(spark, settings, lambda line: None)
    rows = TableStore(spark, str(output)).read(CANDIDATES).orderBy("query", "source_id", "rank").collect()
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row["query"] == "sparse":
            found[row["source_id"]][row["candidate_id"]] = row["score"]

    interests = maps_of(spark, output, "interested_in", result.version.tables)
    items = maps_of(spark, output, "item_embeddings", result.version.tables)
    lists = defaultdict(list)
    for row in rows_of(spark, output, "community_index", result.version.tables):
        if row["entity_type"] == "item" and row["rank"] <= 3:
            lists[row["community"]].append(row["entity_id"])
    likes = weights_of(spark, output, "like")
    expected = {}
    for user, interest in interests.items():
        reached = {item for name in largest(interest, 2) for item in lists[name] if (user, item) not in likes}
        scores = {item: sum(weight * items[item].get(name, 0) for name, weight in interest.items()) for item in reached}
        if scores:
            expected[user] = sorted(scores.values(), reverse=True)[:6]
    assert found.keys() == expected.keys()
    for user, scores in expected.items():
        np.testing.assert_allclose(list(found[user].values()), scores, rtol=1e-6)
    methods = {tag["method"] for row in rows if row["query"] == "both" for tag in row["tags"]}
    assert methods == {"communities", "exact"}


def test_a_second_version_keeps_ids_and_the_first_stays_readable(
    spark: SparkSession, output: Path, result: CommunitiesResult
) -> None:
    before = {row["entity_id"]: row["community"] for row in rows_of(spark, output, "known_for", result.version.tables)}
    changed = {**SETTINGS, "known_for": {"resolution": [2, 20], "recall_at": 5}}
    second = build_communities(spark, config(output, changed), lambda line: None)
    assert set(second.recall) == {2, 20}
    assert all(0 < value < 1 for value in second.recall.values())
    after = {row["entity_id"]: row["community"] for row in rows_of(spark, output, "known_for", second.version.tables)}
    assert second.drift["same"] + second.drift["changed"] > 0
    new = set(after.values()) - set(before.values())
    assert not new or min(new) > max(before.values())
    assert (
        rows_of(spark, output, "known_for", result.version.tables)[0]["model_version"] == result.version.model_version
    )
    versions = TableStore(spark, str(output)).read(next(t for t in TABLES if t.name == "community_versions")).collect()
    assert {row["alias"] for row in versions} == {None, "current"}


def test_problems_are_one_line(spark: SparkSession, output: Path, scratch: Path) -> None:
    with pytest.raises(ConfigError, match=r"^communities is null; the job requires communities\.consumers"):
        build_communities(spark, config(output, None), lambda line: None)
    with pytest.raises(InputError, match=r"no graph in .*; run build-graph first"):
        build_communities(spark, config(scratch), lambda line: None)
    lonely = {**SETTINGS, "similarity": {"min_consumers": 1000}}
    with pytest.raises(InputError, match="min_consumers is 1000, but no producer has so many consumers; lower it"):
        build_communities(spark, config(output, lonely), lambda line: None)
    missing = config(output, queries={"q": QUERY}, communities={"version": "v0"})
    with pytest.raises(InputError, match=r"retrieval.communities.version: version 'v0' of the communities was not"):
        find_candidates(spark, missing, lambda line: None)
