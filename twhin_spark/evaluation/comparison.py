"""A comparison: one relation's queries and the models that answer them, the trained one and the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from twhin_spark.evaluation.known_positives import QuerySet
from twhin_spark.evaluation.metrics import mrr
from twhin_spark.evaluation.queries import Queries
from twhin_spark.evaluation.ranking import Ranks
from twhin_spark.evaluation.ranking_task import RankingRequest
from twhin_spark.evaluation.scoring_models import ScoringModel

RankFunction = Callable[[Sequence[RankingRequest]], list[Ranks]]
ModelName = Literal["twhin", "popularity", "als"]


@dataclass(frozen=True)
class ModelSetting:
    """A model with one of the values that it may be tuned among."""

    label: str
    model: ScoringModel


@dataclass(frozen=True)
class Comparison:
    """The models of one relation, by name, each in one setting or more.

    als has no setting where no source of a query has a training edge of the relation: it has nothing to go by, and
    popularity answers in its stead. with_als: whether it is compared at all.
    """

    relation: str
    test: QuerySet
    validation: QuerySet
    models: Mapping[ModelName, Sequence[ModelSetting]]
    with_als: bool = True


def tune_models(
    comparisons: Sequence[Comparison], rank: RankFunction, progress: Callable[[str], None]
) -> list[Comparison]:
    """The comparisons with one setting of each model: that of the best validation MRR, the first without validation."""
    tuned = []
    for comparison, found in zip(comparisons, _ranks(comparisons, "validation", rank), strict=True):
        queries = comparison.validation.queries
        best = dict.fromkeys(comparison.models, 0)
        told = []
        for name, ranks in found.items():
            if name == "als":
                ranks = [
                    fall_back_to_popularity(one, found["popularity"][best["popularity"]], queries) for one in ranks
                ]
            values = [mrr(one.filtered) for one in ranks]
            best[name] = int(np.argmax(values))
            by = f" ({comparison.models[name][best[name]].label}, best of {len(values)})" if len(values) > 1 else ""
            told.append(f"{name} {max(values):.4f}{by}")
        if told:
            progress(f"{comparison.relation}: validation MRR {', '.join(told)}, of {len(queries):,} queries")
        chosen = {name: [some[best[name]]] for name, some in comparison.models.items() if some}
        tuned.append(replace(comparison, models=chosen))
    return tuned


def rank_test_queries(comparisons: Sequence[Comparison], rank: RankFunction) -> list[dict[ModelName, Ranks]]:
    """For each comparison of tuned models, the ranks of the test queries' answers under each model."""
    found = []
    for comparison, ranks in zip(comparisons, _ranks(comparisons, "test", rank), strict=True):
        best = {name: ranks[name][0] for name in ranks}
        if comparison.with_als:
            als = best.get("als", best["popularity"])
            best["als"] = fall_back_to_popularity(als, best["popularity"], comparison.test.queries)
        found.append(best)
    return found


def fall_back_to_popularity(als: Ranks, popularity: Ranks, queries: Queries) -> Ranks:
    """ALS does not know a source without a training edge of the relation; popularity answers in its stead."""
    known = queries.connected[queries.source]  # (m,)
    return Ranks(
        np.where(known, als.among_new, popularity.among_new), np.where(known, als.filtered, popularity.filtered)
    )


def _ranks(
    comparisons: Sequence[Comparison], split: Literal["validation", "test"], rank: RankFunction
) -> list[dict[ModelName, list[Ranks]]]:
    """For each comparison and model, the ranks under each setting; nothing where the split has no query."""
    rankings, places = [], []
    for number, comparison in enumerate(comparisons):
        asked = comparison.test if split == "test" else comparison.validation
        for name, settings in comparison.models.items():
            for setting, one in enumerate(settings):
                if len(asked.queries):
                    rankings.append(RankingRequest(f"{asked.name}-{name}-{setting}", asked, one.model))
                    places.append((number, name))
    found: list[dict[ModelName, list[Ranks]]] = [{} for _ in comparisons]
    for (number, name), ranks in zip(places, rank(rankings), strict=True):
        found[number].setdefault(name, []).append(ranks)
    return found
