"""Quality gates: conditions on metrics and on drift that a model must meet to be published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from twhin_spark.config.sections import GateConfig


@dataclass(frozen=True)
class GateResult:
    """What became of a gate. `line` says what is required and what was measured; it is the error of a failed gate."""

    gate: str  # its path in the config
    passed: bool
    line: str
    value: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge_gates(
    gates: Sequence[GateConfig], metrics: Sequence[Mapping[str, Any]], drift: Sequence[Mapping[str, Any]] | None
) -> list[GateResult]:
    """Return the result of each gate; a metric that was not measured does not pass.

    Parameters
    ----------
    gates
        The gates of the config.
    metrics
        Rows of the table `metrics` of one run.
    drift
        Rows of the table `drift` against the current version; None: nothing is current, so that no bound is broken.
    """
    values = {(row["relation"], row["model"], row["metric"]): row["value"] for row in metrics}
    results = []
    for i, gate in enumerate(gates):
        path = f"publishing.gates.{i}"
        if gate.drift is not None:
            results.append(_judge_drift(path, gate, drift))
        else:
            results.append(_judge_metric(path, gate, values, first=drift is None))
    return results


def _judge_metric(path: str, gate: GateConfig, values: Mapping[tuple[Any, ...], float], *, first: bool) -> GateResult:
    relation, metric = str(gate.relation), str(gate.metric)
    value = values.get((relation, "twhin", metric))
    if gate.beats is not None:
        bound = values.get((relation, gate.beats, metric))
        required = f"above {gate.beats}'s ({_shown(bound)})"
        passed = value is not None and bound is not None and value > bound
    elif gate.not_worse_than is not None:
        bound = values.get((relation, "current", metric))
        least = None if bound is None else bound * (1 - gate.tolerance)
        required = f"at least {_shown(least)}, as the current version's is {_shown(bound)}"
        passed = value is not None and (first or (least is not None and value >= least))
    else:
        assert gate.at_least is not None
        required = f"at least {gate.at_least:g}"
        passed = value is not None and value >= gate.at_least
    return GateResult(path, passed, f"{path}: {metric} of {relation} must be {required}, but is {_shown(value)}", value)


def _judge_drift(path: str, gate: GateConfig, drift: Sequence[Mapping[str, Any]] | None) -> GateResult:
    measure, _, statistic = str(gate.drift).rpartition("_")
    of = f"entity type {gate.entity_type}" if gate.entity_type else "all entity types"
    value = None
    for row in drift or ():
        whole = row["degree_band"] is None and row["relation"] is None and not row["rotated"]
        if whole and row["measure"] == measure and row["entity_type"] == gate.entity_type:
            value = row[statistic]
    if gate.at_most is not None:
        required, passed = f"at most {gate.at_most:g}", value is not None and value <= gate.at_most
    else:
        assert gate.at_least is not None
        required, passed = f"at least {gate.at_least:g}", value is not None and value >= gate.at_least
    line = f"{path}: drift {gate.drift} of {of} must be {required}, but is {_shown(value)}"
    return GateResult(path, drift is None or passed, line, value)


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
