from __future__ import annotations

import numpy as np
import pytest

from twhin_spark.evaluation.metrics import metrics_of
from twhin_spark.evaluation.rank import Ranks


def test_a_literal_case() -> None:
    # Source 0 has the answers at 1, 4 and 2.5 (a tie at 2 and 3), source 1 one at 10.5, source 2 one at 20.
    source = np.array([0, 0, 0, 1, 2])
    filtered = np.array([1.0, 4, 2.5, 10.5, 20])
    among_new = np.array([1.0, 12, 3, 10.5, 21])
    found = {metric.metric: (metric.value, metric.queries) for metric in metrics_of(Ranks(among_new, filtered), source)}
    assert found == {
        "mrr": (pytest.approx((1 + 1 / 4 + 1 / 2.5 + 1 / 10.5 + 1 / 20) / 5), 5),
        "hits@1": (1 / 5, 5),
        "hits@3": (2 / 5, 5),
        "hits@10": (3 / 5, 5),
        "recall@10": (pytest.approx((2 / 3 + 0 + 0) / 3), 3),
        "recall@20": (pytest.approx((1 + 1 + 0) / 3), 3),
    }


def test_the_order_of_queries_leaves_no_trace() -> None:
    rng = np.random.default_rng(0)
    source = np.sort(rng.integers(100, size=1000)) % 100
    ranks = 1 + rng.integers(50, size=1000) / 2
    order = rng.permutation(1000)
    assert metrics_of(Ranks(ranks, ranks), source) == metrics_of(Ranks(ranks[order], ranks[order]), source[order])
