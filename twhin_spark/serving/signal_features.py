"""Signal features: how close a candidate is to what a user did last."""

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
class Signal:
    """Something that a user did to an entity. at: Unix seconds."""

    entity: Entity
    at: float


@dataclass(frozen=True)
class Window:
    """The scores of each candidate with the signals of one window.

    max, average: float64 (candidates,), NaN where the candidate or all of the signals have no representation.
    signals: how many signals are in the window, LAST_SIGNALS at most.
    """

    max: Scores
    average: Scores
    signals: int


def signal_windows(
    scorer: Scorer,
    score: Score,
    candidates: Sequence[Entity],
    signals: Sequence[Signal],
    now: float,
    days: Sequence[float],
) -> dict[float, Window]:
    """The features of one signal type for each window, given in days.

    Of the signals not older than the window and not later than now (Unix seconds), the last LAST_SIGNALS count. One
    whose entity has no representation has no score; it is left out of the average.
    """
    past = sorted((signal for signal in signals if signal.at <= now), key=lambda signal: -signal.at)
    recent = [signal for signal in past if now - signal.at <= DAY * max(days)][:LAST_SIGNALS]
    scores = scorer.table(score, [signal.entity for signal in recent], candidates)  # (signals, candidates)
    windows = {}
    for window in days:
        inside = sum(now - signal.at <= DAY * window for signal in recent)  # the latest ones
        windows[window] = _summary(scores[:inside])
    return windows


def _summary(scores: Scores) -> Window:
    if not len(scores):
        nothing = np.full(scores.shape[1], np.nan)
        return Window(nothing, nothing, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without a score is NaN, as it should be
        return Window(np.nanmax(scores, axis=0), np.nanmean(scores, axis=0), len(scores))
