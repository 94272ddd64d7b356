"""Comparison of the trained model and the baselines on the queries of one relation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from twhin_spark.evaluation.known_positives import QuerySet
from twhin_spark.evaluation.metrics import mrr
from twhin_spark.evaluation.queries import Queries
from twhin_spark.evaluation.ranking import Ranks
from twhin_spark.evaluation.ranking_task import RankingInput
from twhin_spark.evaluation.scoring_models import ScoringModel

RankFunction = Callable[[Sequence[RankingInput]], list[Ranks]]
ModelName = Literal["twhin", "popularity", "als", "current"]


@dataclass(frozen=True)
class ModelSetting:
    """A model with one of the settings that it may be tuned among."""

    label: str
    model: ScoringModel


@dataclass(frozen=True)
class Comparison:
    """The queries of one relation and the compared models, by name, each in one setting or more.

    with_als: true if ALS is compared at all. If it is and no source of a query has a training edge of the relation,
    `models` has no entry for ALS, and the ranks of popularity take the place of those of ALS.
    """

    relation: str
    test: QuerySet
    validation: QuerySet
    models: Mapping[ModelName, Sequence[ModelSetting]]
    with_als: bool = True


def tune_models(
    comparisons: Sequence[Comparison], rank: RankFunction, progress: Callable[[str], None]
) -> list[Comparison]:
    """Choose the setting of each model that has the best validation MRR.

    The first of equals is chosen, and the first setting if there is no validation query.

    Parameters
    ----------
    comparisons
        The relations with their models, each in one setting or more.
    rank
        Function that ranks the positives of each request's queries, such as `rank_queries` with its first arguments.
    progress
        Function that is called with a line for each relation that has validation queries.

    Returns
    -------
    The comparisons, with one setting of each model.
    """
    tuned = []
    for comparison, ranks_of in zip(comparisons, _ranks(comparisons, "validation", rank), strict=True):
        queries = comparison.validation.queries
        best = dict.fromkeys(comparison.models, 0)
        scores = []
        for name, by_setting in ranks_of.items():
            if name == "als":
                popularity = ranks_of["popularity"][best["popularity"]]
                by_setting = [fall_back_to_popularity(ranks, popularity, queries) for ranks in by_setting]
            values = [mrr(ranks.filtered) for ranks in by_setting]
            best[name] = int(np.argmax(values))
            chosen = f" ({comparison.models[name][best[name]].label}, best of {len(values)})" if len(values) > 1 else ""
            scores.append(f"{name} {max(values):.4f}{chosen}")
        if scores:
            progress(f"{comparison.relation}: validation MRR {', '.join(scores)}, of {len(queries):,} queries")
        models = {name: [settings[best[name]]] for name, settings in comparison.models.items() if settings}
        tuned.append(replace(comparison, models=models))
    return tuned


def rank_test_queries(comparisons: Sequence[Comparison], rank: RankFunction) -> list[dict[ModelName, Ranks]]:
    """Rank the positives of the test queries under each model of each comparison, which must be tuned."""
    ranks_of = []
    for comparison, by_model in zip(comparisons, _ranks(comparisons, "test", rank), strict=True):
        ranks = {name: by_setting[0] for name, by_setting in by_model.items()}
        if comparison.with_als:
            als = ranks.get("als", ranks["popularity"])
            ranks["als"] = fall_back_to_popularity(als, ranks["popularity"], comparison.test.queries)
        ranks_of.append(ranks)
    return ranks_of


def fall_back_to_popularity(als: Ranks, popularity: Ranks, queries: Queries) -> Ranks:
    """Replace ALS's ranks of queries whose source has no training edge of the relation, which ALS cannot score."""
    connected = queries.connected[queries.source]  # (m,)
    return Ranks(
        np.where(connected, als.among_new, popularity.among_new), np.where(connected, als.filtered, popularity.filtered)
    )


def _ranks(
    comparisons: Sequence[Comparison], split: Literal["validation", "test"], rank: RankFunction
) -> list[dict[ModelName, list[Ranks]]]:
    """Rank under all models of all comparisons at once: for each comparison and model, the ranks by setting.

    A comparison without queries in the split has no models in the result.
    """
    requests, owners = [], []
    for number, comparison in enumerate(comparisons):
        query_set = comparison.test if split == "test" else comparison.validation
        for name, settings in comparison.models.items():
            for setting_number, setting in enumerate(settings):
                if len(query_set.queries):
                    requests.append(RankingInput(f"{query_set.name}-{name}-{setting_number}", query_set, setting.model))
                    owners.append((number, name))
    ranks_of: list[dict[ModelName, list[Ranks]]] = [{} for _ in comparisons]
    for (number, name), ranks in zip(owners, rank(requests), strict=True):
        ranks_of[number].setdefault(name, []).append(ranks)
    return ranks_of
