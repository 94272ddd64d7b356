"""Adagrad, in place: one accumulator an entity's row (row-wise), one a component of a relation's parameters (full)."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from twhin_spark.kernels.arrays import Floats, Integers

EPSILON = 1e-10  # keeps the step finite where no gradient has come yet


def sum_rows(rows: Integers, gradients: Floats) -> tuple[Integers, Floats]:
    """The sum of the gradients (n, dim) of equal rows (n,): the distinct rows (m,), ascending, and sums (m, dim).

    Gradients of a row are added in the order in which they stand, so equal inputs give equal bits.
    """
    keys = rows.astype(np.int64) << 32 | np.arange(len(rows))
    keys.sort()  # by row, then position: faster than a stable argsort
    in_order = keys >> 32
    first = np.flatnonzero(np.diff(in_order, prepend=-1))
    bounds = np.append(first, len(rows)).astype(np.int32)  # scipy would look for the greatest of 64-bit indices
    ones = np.ones(len(rows), gradients.dtype)
    selection = sparse.csr_array((ones, keys.astype(np.int32), bounds), shape=(len(first), len(rows)))
    return in_order[first], np.asarray(selection @ gradients)


@dataclass(frozen=True)
class RowStep:
    """A step of row-wise Adagrad that is not taken yet: G += mean(g²), x -= learning_rate · g / √(G + ε).

    rows: (m,), distinct. gradients: (m, dim), each row's sum g. squares: (m,), their accumulators G after the step.
    """

    rows: Integers
    gradients: Floats
    squares: Floats

    @classmethod
    def from_gradients(cls, accumulators: Floats, rows: Integers, gradients: Floats) -> "RowStep":
        """From the gradients (n, dim) of rows (n,), which may repeat; accumulators: (all rows,), left as they are."""
        distinct, sums = sum_rows(rows, gradients)
        return cls(distinct, sums, accumulators[distinct] + np.einsum("nd,nd->n", sums, sums) / sums.shape[1])

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.squares).all())

    def apply(self, vectors: Floats, accumulators: Floats, learning_rate: float, max_norm: float | None = None) -> None:
        """Changes vectors (all rows, dim) and accumulators; uses up the gradients.

        max_norm: a vector that would be longer becomes the nearest one of that length, so that the step is one of
            projected gradient descent (as in A. Lerer et al., PyTorch-BigGraph, MLSys 2019); None: no bound.
        """
        accumulators[self.rows] = self.squares
        moves = self.gradients
        moves *= (learning_rate / np.sqrt(self.squares + EPSILON))[:, None].astype(moves.dtype, copy=False)
        moved = np.subtract(vectors.take(self.rows, axis=0), moves, out=moves)
        if max_norm is not None:
            squares = np.vecdot(moved, moved)
            long = np.flatnonzero(squares > max_norm**2)
            moved[long] *= (max_norm / np.sqrt(squares[long]))[:, None]
        vectors[self.rows] = moved


def update_parameters(
    parameters: Floats, accumulators: Floats, rows: Integers, gradients: Floats, learning_rate: float
) -> None:
    """Full Adagrad: G += g², x -= learning_rate · g / √(G + ε), componentwise and in place, g being a row's sum.

    parameters, accumulators: (relations, k). gradients: (n, k) of rows (n,), which may repeat.
    """
    distinct = np.unique(rows)
    sums = (distinct[:, None] == rows).astype(gradients.dtype) @ gradients
    squares = accumulators[distinct] + sums * sums
    accumulators[distinct] = squares
    parameters[distinct] -= learning_rate * sums / np.sqrt(squares + EPSILON)
