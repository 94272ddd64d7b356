"""Ranking: a configured weighted sum of scores, signal features and given features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.config.serving import RankingConfig, RankingFeature, RankingSignal, Score
from twhin_spark.kernels.pair_scores import Scores, weighted_sum
from twhin_spark.representations.errors import QuestionError
from twhin_spark.serving.scorer import Scorer
from twhin_spark.serving.signal_features import Signal, signal_windows
from twhin_spark.serving.store import DEFAULT_FAMILY
from twhin_spark.serving.stored_version import Entity


@dataclass(frozen=True)
class Candidate:
    """What is to be ranked, with the features that the caller gives."""

    entity: Entity
    features: Mapping[str, float]


@dataclass(frozen=True)
class Question:
    """Candidates for a user, whose signals stand under their type. now: Unix seconds."""

    user: Entity
    candidates: Sequence[Candidate]
    signals: Mapping[str, Sequence[Signal]]
    now: float

    @property
    def entities(self) -> list[Entity]:
        return [candidate.entity for candidate in self.candidates]


@dataclass(frozen=True)
class Ranked:
    """Scores (n,) in the order of the candidates, NaN where a part is missing, and the parts before their weights."""

    scores: Scores
    parts: dict[str, Scores]

    @property
    def ranks(self) -> list[int | None]:
        """The rank of each candidate, 1 for the highest score, None without one; ties in the order of the question."""
        known = np.flatnonzero(~np.isnan(self.scores))
        ranks: list[int | None] = [None] * len(self.scores)
        for rank, i in enumerate(known[np.argsort(-self.scores[known], kind="stable")].tolist(), start=1):
            ranks[i] = rank
        return ranks


def rank(scorer: Scorer, ranking: RankingConfig, question: Question) -> Ranked:
    """Scores the candidates by all parts of the ranking."""
    entities = question.entities
    parts: dict[str, Scores] = {}
    weights: list[float] = []
    for name, score in ranking.scores.items():
        parts[name] = _filled(scorer.pairs(score, [question.user], entities), score.missing)
        weights.append(score.weight)
    for name, signal in ranking.signals.items():
        parts[name] = _filled(_signal(scorer, signal, question), signal.missing)
        weights.append(signal.weight)
    for name, feature in ranking.features.items():
        parts[name] = _filled(_feature(scorer, name, feature, question), feature.missing)
        weights.append(feature.weight)
    return Ranked(weighted_sum(list(parts.values()), weights), parts)


def _signal(scorer: Scorer, signal: RankingSignal, question: Question) -> Scores:
    score = Score(measure=signal.measure, family=signal.family)
    given = question.signals.get(signal.signal, [])
    windows = signal_windows(scorer, score, question.entities, given, question.now, [signal.window_days])
    window = windows[signal.window_days]
    return window.max if signal.take == "max" else window.average


def _feature(scorer: Scorer, name: str, feature: RankingFeature, question: Question) -> Scores:
    values: list[float | None] = [candidate.features.get(name) for candidate in question.candidates]
    if name == "degree":
        degrees = scorer.version(DEFAULT_FAMILY).degrees(question.entities)
        values = [degree if value is None else value for value, degree in zip(values, degrees, strict=True)]
    given: NDArray[np.float64] = np.array([np.nan if value is None else value for value in values], np.float64)
    if not feature.log:
        return given
    if (given < 0).any():
        raise QuestionError(f"feature '{name}': found {given[given < 0][0]:g}; allowed: 0 or more, as its log is taken")
    return np.log1p(given)


def _filled(scores: Scores, missing: float | None) -> Scores:
    return scores if missing is None else np.where(np.isnan(scores), missing, scores)
