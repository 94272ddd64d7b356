"""Vectors for entities without one: the means of their neighbours' vectors, seen through the relations."""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.adagrad import sum_rows
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.operators import OPERATORS


@dataclass(frozen=True)
class SeenThrough:
    """A relation as one of its ends sees the other.

    Attributes
    ----------
    operator
        A name in OPERATORS.
    parameters
        Of the operator, (k,).
    transposed
        If true, the vectors are targets, and their relation is one-sided. Its score is linear in the source, and what
        the source sees is the factor of that: x for a translation, x * θ for a diagonal, x * conj(θ) for complex
        numbers. If false, the operator is applied to the vectors.
    """

    operator: str
    parameters: Floats
    transposed: bool

    def __call__(self, vectors: Floats) -> Floats:
        """Return the vectors (n, dim) as the other end sees them, (n, dim)."""
        operator = OPERATORS[self.operator]
        if self.transposed:
            return operator.backward(self.parameters, np.zeros_like(vectors), vectors)[0]
        return operator.apply(self.parameters, vectors)


def mean_of_neighbours(entity: Integers, weights: Floats, seen: Floats) -> tuple[Integers, Floats]:
    """Average the neighbours of each entity.

    Equal inputs in equal order give equal bits. Example: an entity with the neighbours (1, 0) of weight 1 and (0, 1) of
    weight 3 gets (0.25, 0.75).

    Parameters
    ----------
    entity
        Number of the entity that each neighbour belongs to, (n,).
    weights
        Weights of the edges, (n,), above 0.
    seen
        The neighbours' vectors as the entity sees them, (n, dim).

    Returns
    -------
    entities, vectors
        The distinct entities (m,), ascending, and their vectors, float32 (m, dim).
    """
    distinct, sums = sum_rows(entity, seen.astype(np.float64) * weights[:, None])
    _, totals = sum_rows(entity, weights.astype(np.float64)[:, None])
    return distinct, (sums / totals).astype(np.float32)
