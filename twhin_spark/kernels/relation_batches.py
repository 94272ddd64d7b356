"""Families of relations: those that join the same types by the same operator, so that one batch may hold them all."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.adagrad import update_parameters
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.gradients import Direction
from twhin_spark.kernels.model import DirectionParameters, RelationModel
from twhin_spark.kernels.operators import OPERATORS


@dataclass(frozen=True)
class RelationBatch:
    """R relations side by side.

    relations: (R,) numbers, ascending. weights: float32 (R,).
    forward, backward: their parameters and accumulators stacked, (R, k); backward is None where they are one-sided.
    """

    source_type: str
    target_type: str
    operator: str
    relations: Integers
    weights: Floats
    forward: DirectionParameters
    backward: DirectionParameters | None

    def directions(self, relation: Integers) -> tuple[Direction, Direction | None]:
        """How the relations (C,) score, forward and backward."""
        rows = np.searchsorted(self.relations, relation)
        forward, backward = (
            None if side is None else Direction(OPERATORS[self.operator], side.values[rows])
            for side in (self.forward, self.backward)
        )
        assert forward is not None
        return forward, backward

    def weights_of(self, relation: Integers) -> Floats:
        """The weights of the relations (C,), (C,)."""
        return self.weights[np.searchsorted(self.relations, relation)]

    def update(self, relation: Integers, forward: Floats, backward: Floats | None, learning_rate: float) -> None:
        """A step of Adagrad by the gradients (C, k) of the relations (C,), which may repeat."""
        rows = np.searchsorted(self.relations, relation)
        for side, gradient in ((self.forward, forward), (self.backward, backward)):
            if side is not None and gradient is not None and gradient.size:
                update_parameters(side.values, side.accumulators, rows, gradient, learning_rate)

    def write_back(self, relations: Mapping[int, RelationModel]) -> None:
        """Puts the parameters back where `batch_relations` took them from."""
        for row, number in enumerate(self.relations):
            relation = relations[int(number)]
            for whole, own in ((self.forward, relation.forward), (self.backward, relation.backward)):
                if whole is not None and own is not None:
                    own.values[:], own.accumulators[:] = whole.values[row], whole.accumulators[row]


def batch_relations(relations: Mapping[int, RelationModel]) -> tuple[list[RelationBatch], Integers]:
    """The families of the relations by number, and each number's family as an array (greatest number + 1,)."""
    members: dict[tuple[str, str, str, bool], list[int]] = {}
    for number, one in sorted(relations.items()):
        kind = (one.source_type, one.target_type, one.operator, one.backward is not None)
        members.setdefault(kind, []).append(number)
    family_of = np.zeros(max(relations, default=-1) + 1, np.int64)
    families = []
    for i, ((source, target, operator, _), numbers) in enumerate(members.items()):
        family_of[numbers] = i
        own = [relations[number] for number in numbers]
        forward, backward = _stacked([one.forward for one in own]), _stacked([one.backward for one in own])
        assert forward is not None
        weights = np.array([one.weight for one in own], np.float32)
        families.append(RelationBatch(source, target, operator, np.array(numbers), weights, forward, backward))
    return families, family_of


def _stacked(sides: list[DirectionParameters | None]) -> DirectionParameters | None:
    given = [side for side in sides if side is not None]
    if not given:
        return None
    return DirectionParameters(
        np.stack([side.values for side in given]), np.stack([side.accumulators for side in given])
    )
