"""Ranking of candidates by a configured weighted sum of scores, signal features and features of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.config.serving import RankingConfig, RankingFeature, RankingSignal, Score
from twhin_spark.kernels.pair_scores import Scores, weighted_sum
from twhin_spark.representations.errors import RequestError
from twhin_spark.representations.published_family import DEFAULT_FAMILY
from twhin_spark.serving.scorer import Scorer
from twhin_spark.serving.signal_features import UserSignal, window_features
from twhin_spark.serving.stored_version import Entity


@dataclass(frozen=True)
class RankingCandidate:
    """An entity to rank, with the values of its features that the request gives."""

    entity: Entity
    features: Mapping[str, float]


@dataclass(frozen=True)
class RankingInput:
    """The candidates to rank for a user.

    Attributes
    ----------
    user
        The user.
    candidates
        The candidates.
    signals
        The user's interactions by signal type.
    now
        End of the signals' windows, in Unix seconds.
    """

    user: Entity
    candidates: Sequence[RankingCandidate]
    signals: Mapping[str, Sequence[UserSignal]]
    now: float

    @property
    def entities(self) -> list[Entity]:
        """The entities of the candidates."""
        return [candidate.entity for candidate in self.candidates]


@dataclass(frozen=True)
class RankingResult:
    """The scores of n candidates.

    Attributes
    ----------
    scores
        Weighted sum by candidate, float64 (n,); NaN if a part is missing.
    parts
        The parts (n,) by name, before their weights.
    """

    scores: Scores
    parts: dict[str, Scores]

    @property
    def ranks(self) -> list[int | None]:
        """The rank of each candidate: 1 for the highest score, None without a score.

        Equal scores are ranked in the order of the candidates: scores 0.2, 0.9, NaN, 0.9 have ranks 3, 1, None, 2.
        """
        scored = np.flatnonzero(~np.isnan(self.scores))
        ranks: list[int | None] = [None] * len(self.scores)
        for rank, i in enumerate(scored[np.argsort(-self.scores[scored], kind="stable")].tolist(), start=1):
            ranks[i] = rank
        return ranks


def rank_candidates(scorer: Scorer, ranking: RankingConfig, request: RankingInput) -> RankingResult:
    """Return the candidates' scores by all parts of a configured ranking. Raises RequestError."""
    parts: dict[str, Scores] = {}
    weights: list[float] = []
    for name, score in ranking.scores.items():
        parts[name] = _filled(scorer.pairs(score, [request.user], request.entities), score.missing)
        weights.append(score.weight)
    for name, signal in ranking.signals.items():
        parts[name] = _filled(_signal_scores(scorer, signal, request), signal.missing)
        weights.append(signal.weight)
    for name, feature in ranking.features.items():
        parts[name] = _filled(_feature_values(scorer, name, feature, request), feature.missing)
        weights.append(feature.weight)
    return RankingResult(weighted_sum(list(parts.values()), weights), parts)


def _signal_scores(scorer: Scorer, signal: RankingSignal, request: RankingInput) -> Scores:
    score = Score(measure=signal.measure, family=signal.family, target_family=signal.target_family)
    signals = request.signals.get(signal.signal, [])
    windows = window_features(scorer, score, request.entities, signals, request.now, [signal.window_days])
    window = windows[signal.window_days]
    return window.max if signal.take == "max" else window.average


def _feature_values(scorer: Scorer, name: str, feature: RankingFeature, request: RankingInput) -> Scores:
    values: list[float | None] = [candidate.features.get(name) for candidate in request.candidates]
    if name == "degree":
        degrees = scorer.version(DEFAULT_FAMILY).degrees(request.entities)
        values = [degree if value is None else value for value, degree in zip(values, degrees, strict=True)]
    column: NDArray[np.float64] = np.array([np.nan if value is None else value for value in values], np.float64)
    if not feature.log:
        return column
    if (column < 0).any():
        raise RequestError(f"feature '{name}' is {column[column < 0][0]:g}; its log requires a value of 0 or more")
    return np.log1p(column)


def _filled(scores: Scores, missing: float | None) -> Scores:
    return scores if missing is None else np.where(np.isnan(scores), missing, scores)
