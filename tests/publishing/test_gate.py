from __future__ import annotations

from typing import Any

import pytest

from twhin_spark.config.sections import GateConfig
from twhin_spark.publishing.quality_gate import judge_gates

METRICS = [
    {"relation": "like", "model": "twhin", "metric": "mrr", "value": 0.30},
    {"relation": "like", "model": "popularity", "metric": "mrr", "value": 0.30},
    {"relation": "like", "model": "als", "metric": "mrr", "value": 0.29},
]


def gate_failures(gates: list[GateConfig], metrics: list[dict[str, Any]]) -> list[str]:
    return [result.line for result in judge_gates(gates, metrics, None) if not result.passed]


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        ({"at_least": 0.30}, True),
        ({"at_least": 0.31}, False),
        ({"beats": "als"}, True),
        ({"beats": "popularity"}, False),
        ({"metric": "recall@10", "at_least": 0.0}, False),
        ({"relation": "follow", "beats": "als"}, False),
    ],
)
def test_a_gate(gate: dict[str, Any], passes: bool) -> None:
    lines = gate_failures([GateConfig(**{"relation": "like", "metric": "mrr", **gate})], METRICS)
    assert (lines == []) == passes


def test_a_failure_says_the_value_and_the_requirement() -> None:
    gates = [
        GateConfig(relation="like", metric="mrr", beats="popularity"),
        GateConfig(relation="x", metric="mrr", at_least=0.1),
    ]
    assert gate_failures(gates, METRICS) == [
        "publishing.gates.0: mrr of like must be above popularity's (0.3000), but is 0.3000",
        "publishing.gates.1: mrr of x must be at least 0.1, but is not measured",
    ]


DRIFT = {
    "degree_band": None,
    "relation": None,
    "rotated": False,
    "entity_type": "user",
    "measure": "cosine",
    "p50": 0.2,
}


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        ({"drift": "cosine_p50", "entity_type": "user", "at_most": 0.2}, True),
        ({"drift": "cosine_p50", "entity_type": "user", "at_most": 0.1}, False),
        ({"drift": "cosine_p50", "at_most": 0.5}, False),
        ({"drift": "cosine_p50", "entity_type": "user", "at_least": 0.3}, False),
    ],
)
def test_a_gate_on_drift(gate: dict[str, Any], passes: bool) -> None:
    (result,) = judge_gates([GateConfig(**gate)], [], [DRIFT])
    assert result.passed == passes
    (first,) = judge_gates([GateConfig(**gate)], [], None)
    assert first.passed  # nothing is published yet, so nothing moves


@pytest.mark.parametrize(("tolerance", "passes"), [(0.0, False), (0.1, True)])
def test_a_gate_against_the_current_version(tolerance: float, passes: bool) -> None:
    gate = GateConfig(relation="like", metric="mrr", not_worse_than="current", tolerance=tolerance)
    metrics = [*METRICS, {"relation": "like", "model": "current", "metric": "mrr", "value": 0.33}]
    (result,) = judge_gates([gate], metrics, [])
    assert result.passed == passes
    least = 0.33 * (1 - tolerance)
    assert f"must be at least {least:.4f}, as the current version's is 0.3300, but is 0.3000" in result.line
    assert judge_gates([gate], METRICS, None)[0].passed
    assert not judge_gates([gate], METRICS, [])[0].passed
