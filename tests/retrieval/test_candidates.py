"""The job `candidates` on planted vectors, compared with a loop over all pairs, for several numbers of partitions."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.candidate_graph import PlantedGraph, config, loop_candidates
from twhin_spark.config.consistency import problems
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.retrieval.find_candidates import RetrievalResult, find_candidates
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import CANDIDATES, EDGES, ENTITIES

QUERIES: dict[str, Any] = {
    "like": {"relation": "like", "exclude": ["like"], "k": 12, "recall": "like"},
    "follow": {
        "relation": "follow",
        "measure": "dot",
        "exclude": ["follow"],
        "targets": "in_degree['follow'] >= 3",
        "k": 7,
    },
    "close": {"relation": "follow", "k": 5},
    "similar": {"source": "user", "k": 5, "sources": "degree >= 5 AND last_time >= '2020-01-01'"},
    "items": {"source": "item", "measure": "dot", "k": 3},
}
BLENDS = {"people": {"queries": {"similar": 2, "follow": 1}, "constant": 10, "k": 6}}
PARTITIONS = (1, 4, 7)


@pytest.fixture(scope="module")
def results(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, RetrievalResult]]:
    """Run the job; return its output folder and its result by number of partitions."""
    results = {}
    for partitions in PARTITIONS:
        output = tmp_path_factory.mktemp(f"planted{partitions}")
        PlantedGraph().publish(spark, output, partitions)
        queries = QUERIES if partitions == 4 else {**QUERIES, "like": {**QUERIES["like"], "recall": None}}
        settings = config(output, partitions, queries=queries, blends=BLENDS, recall_at=[1, 12])
        assert not problems(settings)
        results[partitions] = output, find_candidates(spark, settings, lambda line: None)
    return results


def rows(spark: SparkSession, output: Path) -> list[tuple[Any, ...]]:
    table = TableStore(spark, str(output)).read(CANDIDATES)
    return [tuple(row) for row in table.orderBy("query", "source_id", "rank").collect()]


def lists(spark: SparkSession, output: Path, query: str) -> dict[str, list[tuple[str, float]]]:
    candidates: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in rows(spark, output):
        if row[0] == query:
            assert row[5] == len(candidates[row[2]]) + 1  # ranks from 1, without a gap
            candidates[row[2]].append((row[4], row[6]))
    return dict(candidates)


def test_rows_do_not_depend_on_the_number_of_partitions(
    spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]]
) -> None:
    first, *others = (rows(spark, output) for output, _ in results.values())
    assert len(first) > 1000
    for other in others:
        assert other == first


@pytest.mark.parametrize(
    ("query", "settings"),
    [
        ("like", {"relation": "like", "source": "user", "target": "item", "k": 12, "exclude": ("like",)}),
        (
            "follow",
            {
                "relation": "follow",
                "source": "user",
                "target": "user",
                "k": 7,
                "exclude": ("follow",),
                "targets": "in_degree['follow'] >= 3",
            },
        ),
        ("items", {"relation": None, "source": "item", "target": "item", "k": 3}),
    ],
)
def test_candidates_are_those_of_a_loop_over_all_pairs(
    spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]], query: str, settings: dict[str, Any]
) -> None:
    output, _ = results[4]
    assert lists(spark, output, query) == loop_candidates(spark, PlantedGraph(), output, **settings)


def test_cosines_and_conditions(spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]]) -> None:
    output, _ = results[4]
    by_source = lists(spark, output, "similar")
    loop = loop_candidates(spark, PlantedGraph(), output, relation=None, source="user", target="user", k=5, cosine=True)
    assert 0 < len(by_source) < len(loop)
    for source, candidates in by_source.items():
        # The loop's cosines are rounded, so it orders ties by chance: scores are compared, and not ids.
        np.testing.assert_allclose([s for _, s in candidates], [s for _, s in loop[source]], atol=1e-6)
        assert source not in {name for name, _ in candidates}


def test_a_relation_scores_by_its_comparator(
    spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]]
) -> None:
    output, _ = results[4]
    by_source = lists(spark, output, "close")
    loop = loop_candidates(
        spark, PlantedGraph(), output, relation="follow", source="user", target="user", k=5, cosine=True
    )
    assert by_source.keys() == loop.keys()
    for source, candidates in by_source.items():
        np.testing.assert_allclose([s for _, s in candidates], [s for _, s in loop[source]], atol=1e-6)


def test_a_blend_keeps_all_tags_and_each_candidate_once(
    spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]]
) -> None:
    output, _ = results[4]
    ranks: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in rows(spark, output):
        if row[0] in ("similar", "follow"):
            ranks[row[2], row[4]][row[0]] = row[5]
    blended = [row for row in rows(spark, output) if row[0] == "people"]
    assert len({(row[2], row[4]) for row in blended}) == len(blended)
    for row in blended:
        tags = [tuple(tag) for tag in row[7]]
        by_query = ranks[row[2], row[4]]
        assert tags == [(name, "exact", by_query[name]) for name in ("similar", "follow") if name in by_query]
        score = sum({"similar": 2, "follow": 1}[name] / (10 + rank) for name, rank in by_query.items())
        assert row[6] == pytest.approx(score)
    assert any(len(row[7]) == 2 for row in blended)


def test_recall_counts_the_test_edges_among_the_candidates(
    spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]]
) -> None:
    output, result = results[4]
    by_source = lists(spark, output, "like")
    edges = TableStore(spark, str(output)).read(EDGES)
    by_split: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in edges.where("relation = 'like'").collect():
        by_split[row["split"]].add((row["source_id"], row["target_id"]))
    seen = {row["entity_id"] for row in TableStore(spark, str(output)).read(ENTITIES).where("degree > 0").collect()}
    hits = defaultdict(list)
    for source, target in by_split["test"] - by_split["train"]:
        if source in seen and target in seen:
            hits[source].append(target in {name for name, _ in by_source[source]})
    recall = float(np.mean([np.mean(of_source) for of_source in hits.values()]))
    values = {(row["model"], row["metric"]): (row["value"], row["queries"]) for row in result.recall}
    assert values["like", "recall@12"] == (pytest.approx(recall), len(hits))
    assert {model for model, _ in values} == {"like", "popularity", "als"}
    assert 0 < values["like", "recall@1"][0] < values["like", "recall@12"][0]


@pytest.mark.parametrize(
    ("query", "line"),
    [
        (
            {"source": "user", "sources": "degre > 3"},
            "queries.q.sources: 'degre > 3' must be a Spark",
        ),
        (
            {"source": "user", "targets": "degree >"},
            "queries.q.targets: 'degree >' must be a Spark SQL condition",
        ),
        ({"source": "user", "targets": "degree"}, "is of type bigint; it must be a condition"),
        ({"source": "user", "targets": "max(degree) > 1"}, "retrieval.queries.q.targets"),
    ],
)
def test_a_broken_condition_is_one_line(
    spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]], query: dict[str, Any], line: str
) -> None:
    settings = config(results[4][0], 4, queries={"q": query})
    with pytest.raises(ConfigError) as caught:
        find_candidates(spark, settings, lambda line: None)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_version_or_query_is_one_line(
    spark: SparkSession, scratch: Path, results: dict[int, tuple[Path, RetrievalResult]]
) -> None:
    with pytest.raises(InputError, match="no published version"):
        find_candidates(spark, config(scratch, 4, queries=QUERIES), lambda line: None)
    with pytest.raises(
        InputError, match=r"retrieval.version: version 'v0' was not published; use one of current, planted-1"
    ):
        find_candidates(spark, config(results[4][0], 4, queries=QUERIES, version="v0"), lambda line: None)
    with pytest.raises(ConfigError, match=r"retrieval.queries is empty"):
        find_candidates(spark, config(results[4][0], 4), lambda line: None)


def test_candidates_of_an_index_are_those_of_all_scores(
    spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]]
) -> None:
    """An index of so few vectors proposes them in order of their scores, so only ties at the end may differ."""
    output, _ = results[4]
    exact = lists(spark, output, "like")
    query = {**QUERIES["like"], "recall": None, "method": "ann"}
    settings = config(output, 4, queries={"like": query}, ann={"refine": 100})
    find_candidates(spark, settings, lambda line: None)
    assert lists(spark, output, "like") == exact
    assert {tag.method for row in rows(spark, output) for tag in row[7]} == {"ann"}


def test_a_mixture_draws_new_targets_in_proportion(
    spark: SparkSession, results: dict[int, tuple[Path, RetrievalResult]]
) -> None:
    output, _ = results[7]
    scores = loop_candidates(
        spark, PlantedGraph(), output, relation="like", source="user", target="item", k=70, exclude=("like",)
    )
    query = {**QUERIES["like"], "recall": None, "method": "mixture"}
    mixtures = {"clusters": 4, "neighbours": 3, "smoothing": 0.3}
    find_candidates(spark, config(output, 7, queries={"like": query}, mixtures=mixtures), lambda line: None)
    by_source = lists(spark, output, "like")
    assert len(by_source) > 30
    for source, candidates in by_source.items():
        assert dict(candidates).items() <= dict(scores[source]).items()  # no training target, and the model's scores
        assert len(dict(candidates)) == len(candidates) <= 12
    assert any(
        [name for name, _ in by_source[source]] != [name for name, _ in scores[source][:12]] for source in by_source
    )
    # With one cluster, every source that engages has the candidates of the method exact.
    find_candidates(spark, config(output, 7, queries={"like": query}, mixtures={"clusters": 1}), lambda line: None)
    for source, candidates in lists(spark, output, "like").items():
        assert candidates == scores[source][:12]
