"""Metrics of ranks, of one relation and averaged over relations, with bootstrap intervals.

Each metric is a ratio of two sums over sources, so a relation's ranks are reduced to such sums: one set of sums over
all its sources, and RESAMPLES sets over as many sources drawn with replacement (B. Efron, Bootstrap Methods: Another
Look at the Jackknife, 1979). Sources are drawn rather than queries, because the positives of one source have similar
ranks: intervals that treat them as independent are too narrow.
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
CUTS = (10, 20)  # k of recall@k and ndcg@k
OVER_QUERIES = ("mrr", *(f"hits@{k}" for k in HITS))
OVER_SOURCES = (*(f"recall@{k}" for k in CUTS), *(f"ndcg@{k}" for k in CUTS))
RESAMPLES = 1000
CONFIDENCE = 0.95
_DRAWN_AT_ONCE = 1 << 20

# Sums over all sources in the first row and over each resample in the others: float64 (1 + RESAMPLES, columns). The
# columns are the number of sources, the number of queries, OVER_QUERIES and OVER_SOURCES.
Totals = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric with its interval, and the number of queries (of sources for OVER_SOURCES) that it is a mean of."""

    metric: str
    value: float
    low: float
    high: float
    queries: int


def totals_of(ranks: Ranks, source: Integers) -> Totals:
    """Return the sums of one relation and model; `source` (m,) numbers each query's source from 0.

    MRR and hits@k are means over queries, of filtered ranks. recall@k and ndcg@k are means over sources, of ranks among
    new candidates. A source's recall@k is the share of its positives with a rank of at most k. Its ndcg@k is the sum of
    1 / log2(1 + rank) over these positives, divided by the largest sum that its positives could reach (K. Järvelin,
    J. Kekäläinen, Cumulated Gain-Based Evaluation of IR Techniques, 2002). A source with the ranks 1 and 14 has the
    recall@10 1/2 and the ndcg@10 1 / (1 + 1 / log2(3)) = 0.61.

    The sums do not depend on the order of the queries or the numbers of the sources.
    """
    positives = np.bincount(source)  # (u,)
    sums = [np.ones(len(positives)), positives, _sum(source, ranks.filtered, 1 / ranks.filtered)]
    sums += [np.bincount(source, ranks.filtered <= k) for k in HITS]
    sums += [np.bincount(source, ranks.among_new <= k) / positives for k in CUTS]
    gains = 1 / np.log2(1 + ranks.among_new)
    for k in CUTS:
        ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))  # of 1 to k positives
        gained = _sum(source, ranks.among_new, np.where(ranks.among_new <= k, gains, 0))
        sums.append(gained / ideal[np.minimum(positives, k) - 1])
    table = np.stack(sums, axis=1)  # (u, columns)
    exact = [math.fsum(column) for column in table.T]
    return np.concatenate([[exact], _resampled(table[np.lexsort(table.T)])])


def metrics_of(totals: Totals) -> list[Metric]:
    """Return all metrics of one relation and model."""
    return _metrics(_means(totals), totals)


def micro(relations: Sequence[Totals]) -> list[Metric]:
    """Return all metrics of a model over the queries, or sources, of several relations pooled."""
    return metrics_of(np.sum(relations, axis=0))


def macro(relations: Sequence[Totals]) -> list[Metric]:
    """Return the mean over relations of each metric of a model."""
    return _metrics(np.mean([_means(totals) for totals in relations], axis=0), np.sum(relations, axis=0))


def mrr(ranks: Floats) -> float:
    """Return the mean reciprocal rank of ranks (m,)."""
    return math.fsum(1 / ranks) / len(ranks)


def _sum(source: Integers, ranks: Floats, values: Floats) -> Floats:
    """Sum up each source's values (m,), in the order of their ranks (m,) whatever the order of the queries: (u,)."""
    order = np.lexsort((ranks, source))
    return np.bincount(source[order], values[order]).astype(np.float64, copy=False)


def _resampled(table: Floats) -> Floats:
    """Draw as many rows as the table (u, columns) has, with replacement, and sum them up: (RESAMPLES, columns)."""
    rows, rng = len(table), np.random.default_rng(0)
    at_once = max(_DRAWN_AT_ONCE // rows, 1)
    sums = []
    for begin in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - begin)
        drawn = rng.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        sums.append(np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows) @ table)
    return np.concatenate(sums)


def _means(totals: Totals) -> Floats:
    """Return the values (1 + RESAMPLES, metrics) of all metrics."""
    sources, queries = totals[:, :1], totals[:, 1:2]
    values = totals[:, 2:]
    return np.hstack([values[:, : len(OVER_QUERIES)] / queries, values[:, len(OVER_QUERIES) :] / sources])


def _metrics(means: Floats, totals: Totals) -> list[Metric]:
    """Return the metrics with intervals from the resamples' values (1 + RESAMPLES, metrics) and counts from totals."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means[1:], (tail, 1 - tail), axis=0)
    counts: Iterable[float] = [totals[0, 1]] * len(OVER_QUERIES) + [totals[0, 0]] * len(OVER_SOURCES)
    columns = zip(OVER_QUERIES + OVER_SOURCES, means[0], low, high, counts, strict=True)
    return [Metric(name, float(a), float(b), float(c), int(count)) for name, a, b, c, count in columns]
