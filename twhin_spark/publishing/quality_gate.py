"""The quality gate: what a model's metrics must reach before anyone can read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twhin_spark.config.sections import GateConfig


def gate_failures(gates: Sequence[GateConfig], metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each gate that the metrics (rows of `metrics`) do not pass; an unmeasured one does not pass."""
    value_of = {(row["relation"], row["model"], row["metric"]): row["value"] for row in metrics}
    found = []
    for i, gate in enumerate(gates):
        value = value_of.get((gate.relation, "twhin", gate.metric))
        bound = gate.at_least if gate.beats is None else value_of.get((gate.relation, gate.beats, gate.metric))
        asked = f"at least {gate.at_least:g}" if gate.beats is None else f"above {gate.beats}'s {_shown(bound)}"
        passed = value is not None and bound is not None and (value > bound if gate.beats else value >= bound)
        if not passed:
            found.append(
                f"publishing.gates.{i}: found {gate.relation} {gate.metric} {_shown(value)}; asked for {asked}"
            )
    return found


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
