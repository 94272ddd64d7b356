"""Relations between rounds: their settings, their parameters, and how the parameters of parallel tasks merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.model import DirectionParameters, RelationModel
from twhin_spark.kernels.operators import OPERATORS


@dataclass(frozen=True)
class RelationSettings:
    name: str
    source: str  # entity type
    target: str
    operator: str
    weight: float
    two_sided: bool
    sampling: float = 1.0  # how many times an epoch trains an edge


@dataclass(frozen=True)
class RelationState:
    """Parameters and their Adagrad accumulators by the side they rank: target, and source where two-sided.

    The numbers are float32, held as Python floats so that they go through JSON to the last bit.
    """

    parameters: dict[str, list[float]]
    accumulators: dict[str, list[float]]


def initial_state(settings: RelationSettings, dim: int) -> RelationState:
    """Parameters under which the operator changes nothing."""
    fresh = OPERATORS[settings.operator].initial_parameters(dim).tolist()
    sides = ("target", "source") if settings.two_sided else ("target",)
    return RelationState(dict.fromkeys(sides, fresh), {side: [0.0] * len(fresh) for side in sides})


def to_kernel(settings: RelationSettings, state: RelationState) -> RelationModel:
    """The relation as the kernels train it, in arrays of its own."""
    directions = {
        side: DirectionParameters(np.array(values, np.float32), np.array(state.accumulators[side], np.float32))
        for side, values in state.parameters.items()
    }
    return RelationModel(
        settings.source,
        settings.target,
        settings.operator,
        settings.weight,
        directions["target"],
        directions.get("source"),
    )


def from_kernel(relation: RelationModel) -> RelationState:
    sides = {"target": relation.forward, "source": relation.backward}
    return RelationState(
        {side: one.values.tolist() for side, one in sides.items() if one is not None},
        {side: one.accumulators.tolist() for side, one in sides.items() if one is not None},
    )


def merge(before: RelationState, after: Sequence[tuple[int, RelationState]]) -> RelationState:
    """One state from those that parallel tasks reached from `before`, each with the edges it trained.

    Parameters move by the edge-weighted mean of the tasks' moves: their sum would multiply the step by the number of
    tasks. Accumulators grow by the sum of what they grew. Float64, in the order given, so the bits do not vary.
    """
    if len(after) == 1:
        return after[0][1]  # a difference of two floats need not be exact
    edges = np.array([count for count, _ in after], dtype=np.float64)

    def combined(side: str, field: str, factors: np.ndarray) -> list[float]:
        start = np.array(getattr(before, field)[side])  # (k,)
        moves = np.array([getattr(state, field)[side] for _, state in after]) - start  # (tasks, k)
        merged: list[float] = (start + factors @ moves).astype(np.float32).tolist()
        return merged

    return RelationState(
        {side: combined(side, "parameters", edges / edges.sum()) for side in before.parameters},
        {side: combined(side, "accumulators", np.ones_like(edges)) for side in before.parameters},
    )
