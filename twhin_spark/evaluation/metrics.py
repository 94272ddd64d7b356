"""From ranks to metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.evaluation.rank import Ranks
from twhin_spark.kernels.arrays import Floats, Integers

HITS = (1, 3, 10)
RECALLS = (10, 20)


@dataclass(frozen=True)
class Metric:
    """A metric's name and value, and the number of queries (recall@k: of sources) that it is a mean over."""

    metric: str
    value: float
    queries: int


def metrics_of(ranks: Ranks, source: Integers) -> list[Metric]:
    """All metrics of one relation and model; `source` (m,) numbers each query's source from 0.

    MRR and hits@k are means over queries of filtered ranks. recall@k is the share of a source's answers whose rank
    among new candidates is at most k, averaged over sources.
    """
    found = [Metric("mrr", mrr(ranks.filtered), len(source))]
    found += [Metric(f"hits@{k}", _mean(ranks.filtered <= k), len(source)) for k in HITS]
    answers = np.bincount(source)  # (sources,)
    for k in RECALLS:
        recalled = np.bincount(source, ranks.among_new <= k)
        found.append(Metric(f"recall@{k}", _mean(recalled / answers), len(answers)))
    return found


def mrr(ranks: Floats) -> float:
    """Mean reciprocal rank of ranks (m,)."""
    return _mean(1 / ranks)


def _mean(values: NDArray[np.floating | np.bool_] | Iterable[float]) -> float:
    """The exact sum over the count, so that the order of the queries leaves no trace."""
    numbers = np.asarray(values, np.float64)
    return math.fsum(numbers) / len(numbers)
