"""Relations that may share a batch, with their parameters stacked: the same entity types, operator and directions."""

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
    """R relations that may share a batch.

    Attributes
    ----------
    source_type, target_type
        Entity types of the edges' ends.
    operator
        A name in OPERATORS.
    relations
        Relation numbers, (R,), ascending.
    weights
        Weights of the relations, float32 (R,).
    forward, backward
        Parameters and accumulators of the relations, stacked to (R, k); `backward` is None for one-sided relations.
    frozen
        If true, the parameters are not updated.
    """

    source_type: str
    target_type: str
    operator: str
    relations: Integers
    weights: Floats
    forward: DirectionParameters
    backward: DirectionParameters | None
    frozen: bool = False

    def directions(self, relation: Integers) -> tuple[Direction, Direction | None]:
        """Return the operator with the parameters of relations (C,), forward and backward."""
        rows = np.searchsorted(self.relations, relation)
        forward, backward = (
            None if direction is None else Direction(OPERATORS[self.operator], direction.values[rows])
            for direction in (self.forward, self.backward)
        )
        assert forward is not None
        return forward, backward

    def weights_of(self, relation: Integers) -> Floats:
        """Return the weights of relations (C,), float32 (C,)."""
        return self.weights[np.searchsorted(self.relations, relation)]

    def update(self, relation: Integers, forward: Floats, backward: Floats | None, learning_rate: float) -> None:
        """Apply a step of Adagrad, unless the relations are frozen.

        Parameters
        ----------
        relation
            Relation number of each gradient, (C,); numbers may repeat.
        forward, backward
            Gradients (C, k) in each direction.
        learning_rate
            Factor of the step.
        """
        if self.frozen:
            return
        rows = np.searchsorted(self.relations, relation)
        for direction, gradients in ((self.forward, forward), (self.backward, backward)):
            if direction is not None and gradients is not None and gradients.size:
                update_parameters(direction.values, direction.accumulators, rows, gradients, learning_rate)

    def write_back(self, relations: Mapping[int, RelationModel]) -> None:
        """Copy the parameters into the relations that `batch_relations` has read them from."""
        for row, number in enumerate(self.relations):
            relation = relations[int(number)]
            for stack, direction in ((self.forward, relation.forward), (self.backward, relation.backward)):
                if stack is not None and direction is not None:
                    direction.values[:], direction.accumulators[:] = stack.values[row], stack.accumulators[row]


def batch_relations(relations: Mapping[int, RelationModel]) -> tuple[list[RelationBatch], Integers]:
    """Divide relations into those that may share a batch.

    Parameters
    ----------
    relations
        Relations by number.

    Returns
    -------
    batches, batch_of
        The relation batches, and for each relation number the index of its batch, int64 (greatest number + 1,).
    """
    members: dict[tuple[str, str, str, bool, bool], list[int]] = {}
    for number, relation in sorted(relations.items()):
        two_sided = relation.backward is not None
        key = (relation.source_type, relation.target_type, relation.operator, two_sided, relation.frozen)
        members.setdefault(key, []).append(number)
    batch_of = np.zeros(max(relations, default=-1) + 1, np.int64)
    batches = []
    for index, ((source, target, operator, _, frozen), numbers) in enumerate(members.items()):
        batch_of[numbers] = index
        models = [relations[number] for number in numbers]
        forward = _stacked([model.forward for model in models])
        backward = _stacked([model.backward for model in models])
        assert forward is not None
        weights = np.array([model.weight for model in models], np.float32)
        batches.append(RelationBatch(source, target, operator, np.array(numbers), weights, forward, backward, frozen))
    return batches, batch_of


def _stacked(directions: list[DirectionParameters | None]) -> DirectionParameters | None:
    """Stack parameters; None if the relations are one-sided."""
    present = [direction for direction in directions if direction is not None]
    if not present:
        return None
    return DirectionParameters(
        np.stack([direction.values for direction in present]),
        np.stack([direction.accumulators for direction in present]),
    )
