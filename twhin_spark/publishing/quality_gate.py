"""Quality gates: conditions on metrics that a model must meet to be published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twhin_spark.config.sections import GateConfig


def gate_failures(gates: Sequence[GateConfig], metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return an error line for each gate that is not passed; a metric that was not measured does not pass.

    `metrics` are rows of the table `metrics` of one run.
    """
    value_of = {(row["relation"], row["model"], row["metric"]): row["value"] for row in metrics}
    lines = []
    for i, gate in enumerate(gates):
        value = value_of.get((gate.relation, "twhin", gate.metric))
        bound = gate.at_least if gate.beats is None else value_of.get((gate.relation, gate.beats, gate.metric))
        passed = value is not None and bound is not None and (value > bound if gate.beats else value >= bound)
        if not passed:
            required = (
                f"at least {gate.at_least:g}" if gate.beats is None else f"above {gate.beats}'s ({_shown(bound)})"
            )
            lines.append(
                f"publishing.gates.{i}: {gate.metric} of {gate.relation} must be {required}, but is {_shown(value)}"
            )
    return lines


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
