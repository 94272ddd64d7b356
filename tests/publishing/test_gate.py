from __future__ import annotations

from typing import Any

import pytest

from twhin_spark.config.sections import GateConfig
from twhin_spark.publishing.quality_gate import gate_failures

METRICS = [
    {"relation": "like", "model": "twhin", "metric": "mrr", "value": 0.30},
    {"relation": "like", "model": "popularity", "metric": "mrr", "value": 0.30},
    {"relation": "like", "model": "als", "metric": "mrr", "value": 0.29},
]


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
