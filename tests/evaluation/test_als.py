"""Fitting of ALS from packed edges, its tuning, and its fallback to popularity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from tests.support.ranked_graph import ENDS, RELATIONS, RankedGraph
from twhin_spark.evaluation.als import AlsSettings, fit_als
from twhin_spark.evaluation.comparison import (
    Comparison,
    ModelSetting,
    fall_back_to_popularity,
    rank_test_queries,
    tune_models,
)
from twhin_spark.evaluation.known_positives import QuerySet
from twhin_spark.evaluation.queries import HeldOutEdges, Queries, queries_of
from twhin_spark.evaluation.ranking import Ranks
from twhin_spark.evaluation.ranking_task import RankingInput
from twhin_spark.evaluation.scoring_models import ConstantVectors, ScoringModel
from twhin_spark.evaluation.scratch import Scratch


def test_factors_are_stored_by_entity(spark: SparkSession, scratch: Path) -> None:
    """With a factor for every target, edges score near 1, other pairs near 0, and targets without an edge last."""
    graph, partitions = RankedGraph(), 3
    settings = [AlsSettings(rank=60, iterations=2, regularization=0.001, alpha=100.0)]
    buckets = graph.buckets_table(spark, partitions)
    number = RELATIONS.index("like")
    (model,) = fit_als(buckets, number, settings, Scratch(str(scratch)), partitions=partitions, seed=0)
    locations, edges = graph.locations(partitions), graph.edges["like"]["train"]

    def score(source: str, target: str) -> float:
        (sp, sr), (tp, tr) = locations["user", source], locations["tweet", target]
        query = model.sources.read(sp, np.array([sr])).astype(float)
        return float(query[0] @ model.targets.read(tp, np.array([tr]))[0].astype(float))

    sources = sorted({source for source, _ in edges})[:6]
    liked = {target for _, target in edges}
    for entity_type, target in graph.entities:
        for source in sources if entity_type == ENDS["like"][1] else ():
            if target not in liked:
                assert score(source, target) < -1e20
            elif (source, target) in edges:
                assert score(source, target) > 0.8
            else:
                assert -0.3 < score(source, target) < 0.6


def queries(*pairs: tuple[int, int], connected: set[int]) -> Queries:
    source, target = np.array(pairs, np.int64).reshape(-1, 2).T
    return queries_of(HeldOutEdges(source, target, np.isin(source, list(connected)), np.isin(target, list(connected))))


def ranks(*filtered: float) -> Ranks:
    return Ranks(np.array(filtered) + 100, np.array(filtered))


def test_als_falls_back_to_popularity_at_unconnected_sources() -> None:
    test_queries = queries((1, 1), (2, 1), (2, 2), connected={1})
    merged = fall_back_to_popularity(ranks(1, 2, 3), ranks(11, 12, 13), test_queries)
    assert merged.filtered.tolist() == [1, 12, 13]
    assert merged.among_new.tolist() == [101, 112, 113]


def comparison(validation: Queries) -> Comparison:
    model = ScoringModel(ConstantVectors(), ConstantVectors())
    test = queries((1, 1), (2, 2), connected={1})
    models = {"twhin": ["as trained"], "popularity": ["degree", "weight"], "als": ["weak", "strong", "wrong"]}
    return Comparison(
        "like",
        QuerySet("test-0", 0, test, False),
        QuerySet("tune-0", 0, validation, False),
        {name: [ModelSetting(label, model) for label in labels] for name, labels in models.items()},  # type: ignore[misc]
    )


def test_validation_picks_each_baselines_setting() -> None:
    # The second query's source is unconnected, so popularity's rank counts there, not that of ALS.
    ranks_by_name = {
        "tune-0-twhin-0": ranks(1, 4),
        "tune-0-popularity-0": ranks(4, 4),
        "tune-0-popularity-1": ranks(9, 2),
        "tune-0-als-0": ranks(4, 1),
        "tune-0-als-1": ranks(2, 50),
        "tune-0-als-2": ranks(3, 1),
    }
    requested: list[str] = []

    def rank(requests: list[RankingInput]) -> list[Ranks]:
        requested.extend(request.name for request in requests)
        return [ranks_by_name[request.name] for request in requests]

    lines: list[str] = []
    (tuned,) = tune_models([comparison(queries((5, 5), (6, 6), connected={5}))], rank, lines.append)  # type: ignore[arg-type]
    assert {name: [setting.label for setting in settings] for name, settings in tuned.models.items()} == {
        "twhin": ["as trained"],
        "popularity": ["weight"],
        "als": ["strong"],
    }
    assert requested == list(ranks_by_name)
    assert lines == [
        "like: validation MRR twhin 0.6250, popularity 0.3056 (weight, best of 2), als 0.5000 (strong, best of 3), "
        "of 2 queries"
    ]


def test_without_validation_the_first_setting_is_used() -> None:
    (tuned,) = tune_models([comparison(queries(connected=set()))], lambda requests: [ranks() for _ in requests], print)
    assert [settings[0].label for settings in tuned.models.values()] == ["as trained", "degree", "weak"]


def test_als_without_any_connected_source_is_popularity() -> None:
    (tuned,) = tune_models([comparison(queries(connected=set()))], lambda requests: [], print)
    without_als = Comparison(
        "like", tuned.test, tuned.validation, {k: v for k, v in tuned.models.items() if k != "als"}
    )
    ranks_by_name = {"test-0-twhin-0": ranks(1, 2), "test-0-popularity-0": ranks(3, 4)}
    (by_model,) = rank_test_queries(
        [without_als], lambda requests: [ranks_by_name[request.name] for request in requests]
    )
    assert list(by_model) == ["twhin", "popularity", "als"]
    assert by_model["als"].filtered.tolist() == [3, 4]
