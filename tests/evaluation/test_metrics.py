from __future__ import annotations

import math

import numpy as np
import pytest

from twhin_spark.evaluation.metrics import RESAMPLES, Metric, macro, metrics_of, micro, totals_of
from twhin_spark.evaluation.ranking import Ranks


def by_name(metrics: list[Metric]) -> dict[str, tuple[float, int]]:
    return {metric.metric: (metric.value, metric.queries) for metric in metrics}


def test_a_literal_case() -> None:
    # The positives of source 0 rank at 1, 4 and 2.5 (a tie of 2 and 3), those of sources 1 and 2 at 10.5 and 20.
    source = np.array([0, 0, 0, 1, 2])
    filtered = np.array([1.0, 4, 2.5, 10.5, 20])
    among_new = np.array([1.0, 12, 3, 10.5, 21])
    best_of_three = 1 + 1 / math.log2(3) + 1 / 2
    assert by_name(metrics_of(totals_of(Ranks(among_new, filtered), source))) == {
        "mrr": (pytest.approx((1 + 1 / 4 + 1 / 2.5 + 1 / 10.5 + 1 / 20) / 5), 5),
        "hits@1": (1 / 5, 5),
        "hits@3": (2 / 5, 5),
        "hits@10": (3 / 5, 5),
        "recall@10": (pytest.approx((2 / 3 + 0 + 0) / 3), 3),
        "recall@20": (pytest.approx((1 + 1 + 0) / 3), 3),
        "ndcg@10": (pytest.approx((1 + 1 / 2) / best_of_three / 3), 3),
        "ndcg@20": (pytest.approx(((1 + 1 / 2 + 1 / math.log2(13)) / best_of_three + 1 / math.log2(11.5)) / 3), 3),
    }


def test_a_source_with_more_than_k_positives_can_reach_1_in_ndcg() -> None:
    ranks = np.arange(1.0, 31)
    values = by_name(metrics_of(totals_of(Ranks(ranks, np.ones(30)), np.zeros(30, int))))
    assert values["ndcg@10"] == values["ndcg@20"] == (pytest.approx(1), 1)
    assert values["recall@20"] == (20 / 30, 1)


def drawn(seed: int, sources: int, queries: int) -> tuple[Ranks, np.ndarray]:
    """Draw random ranks with ties; every source has a query."""
    rng = np.random.default_rng(seed)
    source = np.concatenate([np.arange(sources), rng.integers(sources, size=queries - sources)])
    ranks = 1 + rng.integers(60, size=(2, queries)) / 2
    return Ranks(*ranks), source


def test_sums_do_not_depend_on_the_order_of_queries_and_sources() -> None:
    ranks, source = drawn(0, 100, 1000)
    rng = np.random.default_rng(1)
    order, number = rng.permutation(1000), rng.permutation(100)
    shuffled = Ranks(ranks.among_new[order], ranks.filtered[order])
    np.testing.assert_array_equal(totals_of(ranks, source), totals_of(shuffled, number[source[order]]))


def test_over_relations() -> None:
    """The micro average pools all queries into one relation; the macro average is the mean over relations."""
    parts = [drawn(0, 20, 100), drawn(1, 300, 900)]
    together = Ranks(*(np.concatenate([getattr(r, name) for r, _ in parts]) for name in ("among_new", "filtered")))
    source = np.concatenate([parts[0][1], parts[1][1] + 20])
    totals = [totals_of(*part) for part in parts]
    pooled = by_name(metrics_of(totals_of(together, source)))
    assert by_name(micro(totals)) == {name: (pytest.approx(value), n) for name, (value, n) in pooled.items()}
    each = [by_name(metrics_of(sums)) for sums in totals]
    for name, (value, queries) in by_name(macro(totals)).items():
        assert value == pytest.approx((each[0][name][0] + each[1][name][0]) / 2)
        assert queries == pooled[name][1]


def test_an_interval_is_as_wide_as_the_means_of_sources_scatter() -> None:
    """Compare with the normal interval of a mean over sources, whose queries all have one rank each."""
    rng = np.random.default_rng(0)
    of_source = rng.integers(1, 12, size=400).astype(float)
    source = np.repeat(np.arange(400), 5)
    measured = {metric.metric: metric for metric in metrics_of(totals_of(Ranks(*[of_source[source]] * 2), source))}
    for name, values in {"mrr": 1 / of_source, "hits@3": of_source <= 3, "recall@10": of_source <= 10}.items():
        half = 1.96 * np.std(values) / math.sqrt(400)
        metric = measured[name]
        assert (metric.value - metric.low, metric.high - metric.value) == (
            pytest.approx(half, rel=0.15),
            pytest.approx(half, rel=0.15),
        )


def test_a_single_source_has_no_scatter() -> None:
    totals = totals_of(Ranks(np.array([2.0, 5]), np.array([1.0, 5])), np.zeros(2, int))
    assert totals.shape[0] == 1 + RESAMPLES
    assert all(metric.low == metric.value == metric.high for metric in metrics_of(totals))
