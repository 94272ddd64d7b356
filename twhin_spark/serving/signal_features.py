"""Signal features: the similarity of a candidate and the entities that a user interacted with last."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twhin_spark.config.serving import Score
from twhin_spark.kernels.pair_scores import Scores
from twhin_spark.serving.scorer import Scorer
from twhin_spark.serving.stored_version import Entity

LAST_SIGNALS = 10
DAY = 86_400.0


@dataclass(frozen=True)
class UserSignal:
    """An interaction of a user with an entity. at: Unix seconds."""

    entity: Entity
    at: float


@dataclass(frozen=True)
class WindowFeatures:
    """The scores of each candidate with the signals of one window.

    Attributes
    ----------
    max, average
        Over the signals, float64 (candidates,); NaN if the candidate or all of the signals have no representation.
    signals
        Number of signals in the window, at most LAST_SIGNALS.
    """

    max: Scores
    average: Scores
    signals: int


def window_features(
    scorer: Scorer,
    score: Score,
    candidates: Sequence[Entity],
    signals: Sequence[UserSignal],
    now: float,
    days: Sequence[float],
) -> dict[float, WindowFeatures]:
    """Return the features of one signal type for each window.

    A window contains the signals that are at most so many days old and not later than now, and of these the latest
    LAST_SIGNALS. A signal whose entity has no representation has no score and does not enter the average. For example,
    with signals that are 0.5, 3 and 40 days old and windows of 1, 7 and 30 days, the windows have 1, 2 and 2 signals.

    Parameters
    ----------
    scorer
        Scorer of the request.
    score
        Score of a signal's entity, as the source, and a candidate, as the target.
    candidates
        Entities that the features describe.
    signals
        Interactions of one type, in any order.
    now
        End of the windows, in Unix seconds.
    days
        Lengths of the windows.
    """
    past = sorted((signal for signal in signals if signal.at <= now), key=lambda signal: -signal.at)
    recent = [signal for signal in past if now - signal.at <= DAY * max(days)][:LAST_SIGNALS]
    scores = scorer.table(score, [signal.entity for signal in recent], candidates)  # (signals, candidates)
    windows = {}
    for length in days:
        inside = sum(now - signal.at <= DAY * length for signal in recent)  # the first rows of `scores`
        windows[length] = _summarise(scores[:inside])
    return windows


def _summarise(scores: Scores) -> WindowFeatures:
    if not len(scores):
        missing = np.full(scores.shape[1], np.nan)
        return WindowFeatures(missing, missing, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without a score is NaN, as it should be
        return WindowFeatures(np.nanmax(scores, axis=0), np.nanmean(scores, axis=0), len(scores))
