"""The routes of the Representation Scorer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from starlette.responses import Response

from twhin_spark.representations.errors import NotServedError, RequestError, one_of
from twhin_spark.serving.scorer import Scorer
from twhin_spark.serving.signal_features import UserSignal, window_features
from twhin_spark.serving.stored_version import Entity
from twhin_spark.serving.web import requests, responses
from twhin_spark.serving.web.encodings import json_response
from twhin_spark.serving.web.service_state import ServiceState
from twhin_spark.serving.weighted_ranker import RankingCandidate, RankingInput
from twhin_spark.serving.weighted_ranker import rank_candidates as rank

MAX_SIGNALS = 10_000


def scorer_routes(state: ServiceState) -> APIRouter:
    """Return the routes of scores, signal features and rankings. Each response names the version of each family."""
    routes = APIRouter(prefix="/v1", tags=["Representation Scorer"])

    @routes.post("/scores/pairs", response_model=responses.ScoresResponse)
    async def score_pairs(body: requests.PairScoresRequest) -> Response:
        """Return the score of each pair; null if an entity is unknown."""
        state.check_count("pairs", len(body.pairs))
        sources, targets = [source for source, _ in body.pairs], [target for _, target in body.pairs]
        return _scores(body, sources, targets)

    @routes.post("/scores/list", response_model=responses.ScoresResponse)
    async def score_list(body: requests.ListScoresRequest) -> Response:
        """Return the score of one source with each target; null if an entity is unknown."""
        state.check_count("targets", len(body.targets))
        return _scores(body, [body.source], body.targets)

    @routes.post("/signals", response_model=responses.SignalFeaturesResponse)
    async def signal_features(body: requests.SignalFeaturesRequest) -> Response:
        """Return the highest and the average score of each candidate with the user's latest signals."""
        state.check_count("candidates", len(body.candidates))
        scorer = Scorer(state.store, body.versions)
        features = {
            name: window_features(scorer, body.score, body.candidates, signals, _now(body), body.windows_days)
            for name, signals in _signals(body).items()
        }
        windows = {
            name: {f"{days:g}": vars(window) for days, window in by_days.items()} for name, by_days in features.items()
        }
        return json_response({"model_versions": scorer.model_versions, "features": windows})

    @routes.post("/rankings/{name}", response_model=responses.RankingResponse)
    async def rank_candidates(name: str, body: requests.RankingRequest) -> Response:
        """Return the candidates' scores and ranks by one of the configured rankings."""
        rankings = state.settings.rankings
        if name not in rankings:
            raise NotServedError(f"unknown ranking '{name}'; use {one_of(rankings)}")
        state.check_count("candidates", len(body.candidates))
        scorer = Scorer(state.store, body.versions)
        candidates = [RankingCandidate(candidate.entity, candidate.features) for candidate in body.candidates]
        result = rank(scorer, rankings[name], RankingInput(body.user, candidates, _signals(body), _now(body)))
        return json_response(
            {
                "model_versions": scorer.model_versions,
                "ranking": name,
                "scores": result.scores,
                "ranks": result.ranks,
                "parts": result.parts if body.parts else None,
            }
        )

    def _scores(body: requests.ScoresRequest, sources: Sequence[Entity], targets: Sequence[Entity]) -> Response:
        scorer = Scorer(state.store, body.versions)
        total, parts = scorer.weighted(body.scores, sources, targets)
        return json_response(
            {"model_versions": scorer.model_versions, "scores": total, "parts": parts if body.parts else None}
        )

    return routes


def _signals(body: requests.UserSignalsRequest) -> Mapping[str, list[UserSignal]]:
    count = sum(map(len, body.signals.values()))
    if count > MAX_SIGNALS:
        raise RequestError(f"signals has {count:,} entries; at most {MAX_SIGNALS:,} are allowed")
    return {
        name: [UserSignal(signal.entity, requests.unix_seconds(signal.at)) for signal in signals]
        for name, signals in body.signals.items()
    }


def _now(body: requests.UserSignalsRequest) -> float:
    return time.time() if body.now is None else requests.unix_seconds(body.now)
