"""The routes of the Representation Scorer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from starlette.responses import Response

from twhin_spark.representations.errors import NotServedError, QuestionError, one_of
from twhin_spark.serving import signal_features as recent
from twhin_spark.serving import weighted_ranker as rankings
from twhin_spark.serving.scorer import Scorer
from twhin_spark.serving.stored_version import Entity
from twhin_spark.serving.web import requests, responses
from twhin_spark.serving.web.encodings import json_answer
from twhin_spark.serving.web.service_state import Service

MAX_SIGNALS = 10_000


def scorer_routes(service: Service) -> APIRouter:
    """Pairs, lists, signal features and rankings. Each answer names one version of each family it drew on."""
    routes = APIRouter(prefix="/v1", tags=["Representation Scorer"])

    @routes.post("/scores/pairs", response_model=responses.Scores)
    async def score_pairs(question: requests.Pairs) -> Response:
        """The score of each pair; null where an entity is unknown."""
        service.check_count("pairs", len(question.pairs))
        sources, targets = [source for source, _ in question.pairs], [target for _, target in question.pairs]
        return _scores(question, sources, targets)

    @routes.post("/scores/list", response_model=responses.Scores)
    async def score_list(question: requests.Listed) -> Response:
        """The score of one source with each target; null where an entity is unknown."""
        service.check_count("targets", len(question.targets))
        return _scores(question, [question.source], question.targets)

    @routes.post("/signals", response_model=responses.Signals)
    async def signal_features(question: requests.Signals) -> Response:
        """The highest and the average score of each candidate with what the user did last."""
        service.check_count("candidates", len(question.candidates))
        scorer = Scorer(service.store, question.versions)
        features = {
            name: recent.signal_windows(
                scorer, question.score, question.candidates, given, _now(question), question.windows_days
            )
            for name, given in _signals(question).items()
        }
        windows = {
            name: {f"{days:g}": vars(window) for days, window in by_days.items()} for name, by_days in features.items()
        }
        return json_answer({"model_versions": scorer.model_versions, "features": windows})

    @routes.post("/rankings/{name}", response_model=responses.Ranking)
    async def rank_candidates(name: str, question: requests.Ranking) -> Response:
        """The candidates' scores and ranks by one of the configured rankings."""
        configured = service.settings.rankings
        if name not in configured:
            raise NotServedError(f"unknown ranking '{name}'; allowed: {one_of(configured)}")
        service.check_count("candidates", len(question.candidates))
        scorer = Scorer(service.store, question.versions)
        candidates = [rankings.Candidate(candidate.entity, candidate.features) for candidate in question.candidates]
        asked = rankings.Question(question.user, candidates, _signals(question), _now(question))
        ranked = rankings.rank(scorer, configured[name], asked)
        return json_answer(
            {
                "model_versions": scorer.model_versions,
                "ranking": name,
                "scores": ranked.scores,
                "ranks": ranked.ranks,
                "parts": ranked.parts if question.parts else None,
            }
        )

    def _scores(question: requests.ScoresQuestion, sources: Sequence[Entity], targets: Sequence[Entity]) -> Response:
        scorer = Scorer(service.store, question.versions)
        total, parts = scorer.weighted(question.scores, sources, targets)
        shown = parts if question.parts else None
        return json_answer({"model_versions": scorer.model_versions, "scores": total, "parts": shown})

    return routes


def _signals(question: requests.SignalsQuestion) -> Mapping[str, list[recent.Signal]]:
    count = sum(map(len, question.signals.values()))
    if count > MAX_SIGNALS:
        raise QuestionError(f"signals: found {count:,}; allowed: at most {MAX_SIGNALS:,}")
    return {
        name: [recent.Signal(signal.entity, requests.unix_seconds(signal.at)) for signal in given]
        for name, given in question.signals.items()
    }


def _now(question: requests.SignalsQuestion) -> float:
    return time.time() if question.now is None else requests.unix_seconds(question.now)
