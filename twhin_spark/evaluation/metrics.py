"""From ranks to metrics, of a relation and over all of them, with bootstrap intervals.

A mean is a ratio of two sums over sources, so what is kept of a relation's ranks are such sums: of all its sources, and
of as many sources drawn with replacement (B. Efron, Bootstrap Methods: Another Look at the Jackknife, 1979). Sources
are drawn, not queries: the answers of a source rank alike, and intervals that take them for independent are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.evaluation.ranking import Ranks
from twhin_spark.kernels.arrays import Floats, Integers

HITS = (1, 3, 10)
CUTS = (10, 20)  # the k of recall@k and ndcg@k
OVER_QUERIES = ("mrr", *(f"hits@{k}" for k in HITS))
OVER_SOURCES = (*(f"recall@{k}" for k in CUTS), *(f"ndcg@{k}" for k in CUTS))
RESAMPLES = 1000
CONFIDENCE = 0.95
_DRAWN_AT_ONCE = 1 << 20

# The sums of all sources in the first row, of the resamples in the others: float64 (1 + RESAMPLES, columns). The
# columns are the number of sources, the number of queries, OVER_QUERIES and OVER_SOURCES.
Totals = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric's name and value, its interval, and the number of queries (OVER_SOURCES: of sources) it is a mean of."""

    metric: str
    value: float
    low: float
    high: float
    queries: int


def totals_of(ranks: Ranks, source: Integers) -> Totals:
    """The sums of one relation and model; `source` (m,) numbers each query's source from 0.

    MRR and hits@k are means over queries, of filtered ranks. recall@k is the share of a source's answers whose rank
    among new candidates is at most k; ndcg@k gives each of these 1 / log2(1 + rank), over the most that the source's
    answers could get. Both are means over sources. The order of the queries leaves no trace, nor does that of the
    sources.
    """
    answers = np.bincount(source)  # (u,)
    sums = [np.ones(len(answers)), answers, _sum(source, ranks.filtered, 1 / ranks.filtered)]
    sums += [np.bincount(source, ranks.filtered <= k) for k in HITS]
    sums += [np.bincount(source, ranks.among_new <= k) / answers for k in CUTS]
    gains = 1 / np.log2(1 + ranks.among_new)
    for k in CUTS:
        ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))  # of 1 to k answers
        gained = _sum(source, ranks.among_new, np.where(ranks.among_new <= k, gains, 0))
        sums.append(gained / ideal[np.minimum(answers, k) - 1])
    table = np.stack(sums, axis=1)  # (u, columns)
    exact = [math.fsum(column) for column in table.T]
    return np.concatenate([[exact], _resampled(table[np.lexsort(table.T)])])


def metrics_of(totals: Totals) -> list[Metric]:
    """All metrics of one relation and model."""
    return _metrics(_means(totals), totals)


def micro(relations: Sequence[Totals]) -> list[Metric]:
    """All metrics of a model over the queries, or sources, of several relations."""
    return metrics_of(np.sum(relations, axis=0))


def macro(relations: Sequence[Totals]) -> list[Metric]:
    """The means over relations of each metric of a model."""
    return _metrics(np.mean([_means(totals) for totals in relations], axis=0), np.sum(relations, axis=0))


def mrr(ranks: Floats) -> float:
    """Mean reciprocal rank of ranks (m,)."""
    return math.fsum(1 / ranks) / len(ranks)


def _sum(source: Integers, ranks: Floats, values: Floats) -> Floats:
    """The sums (u,) of each source's values (m,), added up in the order of their ranks (m,)."""
    order = np.lexsort((ranks, source))
    return np.bincount(source[order], values[order]).astype(np.float64, copy=False)


def _resampled(table: Floats) -> Floats:
    """The sums (RESAMPLES, columns) of as many rows as the table (u, columns) has, drawn with replacement."""
    rows, rng = len(table), np.random.default_rng(0)
    at_once = max(_DRAWN_AT_ONCE // rows, 1)
    found = []
    for begin in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - begin)
        drawn = rng.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        found.append(np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows) @ table)
    return np.concatenate(found)


def _means(totals: Totals) -> Floats:
    """The metrics (1 + RESAMPLES, metrics) of totals."""
    sources, queries = totals[:, :1], totals[:, 1:2]
    values = totals[:, 2:]
    return np.hstack([values[:, : len(OVER_QUERIES)] / queries, values[:, len(OVER_QUERIES) :] / sources])


def _metrics(means: Floats, totals: Totals) -> list[Metric]:
    """Of the means of all sources and of resamples (1 + RESAMPLES, metrics); totals say how many they are means of."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means[1:], (tail, 1 - tail), axis=0)
    counts: Iterable[float] = [totals[0, 1]] * len(OVER_QUERIES) + [totals[0, 0]] * len(OVER_SOURCES)
    found = zip(OVER_QUERIES + OVER_SOURCES, means[0], low, high, counts, strict=True)
    return [Metric(name, float(a), float(b), float(c), int(count)) for name, a, b, c, count in found]
