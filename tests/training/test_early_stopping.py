from __future__ import annotations

import pytest

from twhin_spark.training.validation.early_stopping import Metric, StoppingRule


def _rule(metric: Metric = "monitor_mrr", patience: int | None = 2, min_delta: float = 0.0) -> StoppingRule:
    return StoppingRule(metric, patience, min_delta, keep_best=True)


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([], False),
        ([0.1], False),
        ([0.1, 0.1], False),
        ([0.1, 0.1, 0.1], True),
        ([0.1, 0.2, 0.15, 0.25, 0.2], False),
        ([0.1, 0.2, 0.15, 0.2], True),
    ],
)
def test_training_ends_when_patience_has_passed_since_the_last_improvement(values: list[float], ends: bool) -> None:
    assert _rule().ends(values) is ends
    assert _rule("held_out_loss").ends([-value for value in values]) is ends
    assert not _rule(patience=None).ends(values)


def test_a_change_below_min_delta_is_no_improvement() -> None:
    slow = [0.1, 0.105, 0.109]
    assert _rule(min_delta=0.01).ends(slow)
    assert not _rule(min_delta=0.001).ends(slow)
    assert not _rule(min_delta=0.01).ends([0.1, 0.105, 0.111])  # together they are one


def test_the_best_epoch_is_the_first_with_the_best_value() -> None:
    assert _rule().best([0.1, 0.3, 0.2, 0.3]) == 1
    assert _rule("held_out_loss").best([0.3, 0.1, 0.2, 0.1]) == 1
    assert _rule("held_out_loss").best([float("inf"), float("inf"), 1.0]) == 2


def test_ranks_are_measured_only_where_they_decide() -> None:
    assert _rule().needs_ranks
    assert not _rule("held_out_loss").needs_ranks
    assert not StoppingRule("monitor_mrr", None, 0.0, keep_best=False).needs_ranks
