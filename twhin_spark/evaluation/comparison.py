"""A contest: one relation's queries and the models that answer them, the trained one and the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from twhin_spark.evaluation.known_positives import QuerySet
from twhin_spark.evaluation.metrics import mrr
from twhin_spark.evaluation.queries import Queries
from twhin_spark.evaluation.ranking import Ranks
from twhin_spark.evaluation.ranking_task import Ranking
from twhin_spark.evaluation.scoring_models import Model

Rank = Callable[[Sequence[Ranking]], list[Ranks]]
ModelName = Literal["twhin", "popularity", "als"]


@dataclass(frozen=True)
class Setting:
    """A model with one of the values that it may be tuned among."""

    label: str
    model: Model


@dataclass(frozen=True)
class Contest:
    """The models of one relation, by name, each in one setting or more.

    als has no setting where no source of a query has a training edge of the relation: it has nothing to go by, and
    popularity answers in its stead. with_als: whether it is compared at all.
    """

    relation: str
    test: QuerySet
    validation: QuerySet
    models: Mapping[ModelName, Sequence[Setting]]
    with_als: bool = True


def tune(contests: Sequence[Contest], rank: Rank, progress: Callable[[str], None]) -> list[Contest]:
    """The contests with one setting of each model: that of the best validation MRR, the first without validation."""
    tuned = []
    for contest, found in zip(contests, _ranks(contests, "validation", rank), strict=True):
        queries = contest.validation.queries
        best = dict.fromkeys(contest.models, 0)
        told = []
        for name, ranks in found.items():
            if name == "als":
                ranks = [fall_back(one, found["popularity"][best["popularity"]], queries) for one in ranks]
            values = [mrr(one.filtered) for one in ranks]
            best[name] = int(np.argmax(values))
            by = f" ({contest.models[name][best[name]].label}, best of {len(values)})" if len(values) > 1 else ""
            told.append(f"{name} {max(values):.4f}{by}")
        if told:
            progress(f"{contest.relation}: validation MRR {', '.join(told)}, of {len(queries):,} queries")
        chosen = {name: [some[best[name]]] for name, some in contest.models.items() if some}
        tuned.append(replace(contest, models=chosen))
    return tuned


def run_test(contests: Sequence[Contest], rank: Rank) -> list[dict[ModelName, Ranks]]:
    """For each contest of tuned models, the ranks of the test queries' answers under each model."""
    found = []
    for contest, ranks in zip(contests, _ranks(contests, "test", rank), strict=True):
        best = {name: ranks[name][0] for name in ranks}
        if contest.with_als:
            als = best.get("als", best["popularity"])
            best["als"] = fall_back(als, best["popularity"], contest.test.queries)
        found.append(best)
    return found


def fall_back(als: Ranks, popularity: Ranks, queries: Queries) -> Ranks:
    """ALS does not know a source without a training edge of the relation; popularity answers in its stead."""
    known = queries.connected[queries.source]  # (m,)
    return Ranks(
        np.where(known, als.among_new, popularity.among_new), np.where(known, als.filtered, popularity.filtered)
    )


def _ranks(
    contests: Sequence[Contest], split: Literal["validation", "test"], rank: Rank
) -> list[dict[ModelName, list[Ranks]]]:
    """For each contest and model, the ranks under each setting; nothing where the split has no query."""
    rankings, places = [], []
    for number, contest in enumerate(contests):
        asked = contest.test if split == "test" else contest.validation
        for name, settings in contest.models.items():
            for setting, one in enumerate(settings):
                if len(asked.queries):
                    rankings.append(Ranking(f"{asked.name}-{name}-{setting}", asked, one.model))
                    places.append((number, name))
    found: list[dict[ModelName, list[Ranks]]] = [{} for _ in contests]
    for (number, name), ranks in zip(places, rank(rankings), strict=True):
        found[number].setdefault(name, []).append(ranks)
    return found
