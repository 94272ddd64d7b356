"""Relations between rounds: their settings, their parameters, and the merge of what parallel tasks made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.model import DirectionParameters, RelationModel
from twhin_spark.kernels.operators import OPERATORS


@dataclass(frozen=True)
class RelationSettings:
    """Settings of a relation, which stay the same during a run."""

    name: str
    source: str  # entity type
    target: str
    operator: str
    weight: float
    two_sided: bool
    sampling: float = 1.0  # how many times an epoch trains an edge
    frozen: bool = False  # the parameters are not updated


@dataclass(frozen=True)
class RelationState:
    """Parameters and Adagrad accumulators of a relation, by the end that they rank.

    The keys are `target` and, if the relation is two-sided, `source`. The numbers are float32, stored as Python floats
    so that they pass through JSON to the last bit.
    """

    parameters: dict[str, list[float]]
    accumulators: dict[str, list[float]]


def initial_state(settings: RelationSettings, dim: int) -> RelationState:
    """Return parameters with which the operator changes no vector."""
    values = OPERATORS[settings.operator].initial_parameters(dim).tolist()
    ends = ("target", "source") if settings.two_sided else ("target",)
    return RelationState(dict.fromkeys(ends, values), {end: [0.0] * len(values) for end in ends})


def to_kernel(settings: RelationSettings, state: RelationState) -> RelationModel:
    """Return the relation as the kernels train it, in arrays of its own."""
    parameters = {
        end: DirectionParameters(np.array(values, np.float32), np.array(state.accumulators[end], np.float32))
        for end, values in state.parameters.items()
    }
    return RelationModel(
        settings.source,
        settings.target,
        settings.operator,
        settings.weight,
        parameters["target"],
        parameters.get("source"),
        settings.frozen,
    )


def from_kernel(relation: RelationModel) -> RelationState:
    """Return the state of a relation that the kernels have trained."""
    ends = {"target": relation.forward, "source": relation.backward}
    return RelationState(
        {end: parameters.values.tolist() for end, parameters in ends.items() if parameters is not None},
        {end: parameters.accumulators.tolist() for end, parameters in ends.items() if parameters is not None},
    )


def merge(before: RelationState, after: Sequence[tuple[int, RelationState]]) -> RelationState:
    """Merge the states that parallel tasks reached from one state.

    Parameters move by the mean of the tasks' moves, weighted by edges: their sum would multiply the step by the number
    of tasks. Accumulators grow by the sum of the tasks' growth. Example: tasks of 300 and 100 edges move a parameter
    from 1 to 2 and to 5; the merged one is 1 + 0.75 · 1 + 0.25 · 4 = 2.75.

    Parameters
    ----------
    before
        The state that all tasks began with.
    after
        Of each task the number of edges that it trained, and the state that it ended with. The sums are float64, in
        this order, so that their bits do not vary.
    """
    if len(after) == 1:
        return after[0][1]  # adding a difference of two floats need not give the second one
    edges = np.array([count for count, _ in after], dtype=np.float64)

    def merged(end: str, field: str, factors: np.ndarray) -> list[float]:
        start = np.array(getattr(before, field)[end])  # (k,)
        moves = np.array([getattr(state, field)[end] for _, state in after]) - start  # (tasks, k)
        values: list[float] = (start + factors @ moves).astype(np.float32).tolist()
        return values

    return RelationState(
        {end: merged(end, "parameters", edges / edges.sum()) for end in before.parameters},
        {end: merged(end, "accumulators", np.ones_like(edges)) for end in before.parameters},
    )
