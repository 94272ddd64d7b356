"""Adagrad in place: row-wise for entities (an accumulator per row), full for relations (one per parameter).

J. Duchi, E. Hazan, Y. Singer: Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, JMLR 2011.
The row-wise form is that of A. Lerer et al., PyTorch-BigGraph, MLSys 2019.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from twhin_spark.kernels.arrays import Floats, Integers

EPSILON = 1e-10  # keeps the step finite while the accumulator is 0


def sum_rows(rows: Integers, gradients: Floats, share: tuple[int, int] = (0, 1)) -> tuple[Integers, Floats]:
    """Sum the gradients of equal rows.

    Gradients of a row are added in the order in which they stand, so equal inputs give equal bits.

    Parameters
    ----------
    rows
        Row of each gradient, (n,).
    gradients
        (n, dim).
    share
        Two numbers i and k: only the rows with row mod k = i are summed. The k shares together give the same bits as
        one share of all rows.

    Returns
    -------
    distinct, sums
        The m distinct rows, int64 (m,), ascending, and the sum of each row's gradients, (m, dim).
    """
    i, k = share
    at = np.arange(len(rows)) if k == 1 else np.flatnonzero(rows % k == i)
    keys = rows[at].astype(np.int64) << 32 | at
    keys.sort()  # by row, then position: faster than a stable argsort
    sorted_rows = keys >> 32
    first = np.flatnonzero(np.diff(sorted_rows, prepend=-1))
    bounds = np.append(first, len(keys)).astype(np.int32)  # scipy would look for the greatest of 64-bit indices
    ones = np.ones(len(keys), gradients.dtype)
    selection = sparse.csr_array((ones, keys.astype(np.int32), bounds), shape=(len(first), len(rows)))  # (m, n)
    return sorted_rows[first], np.asarray(selection @ gradients)


@dataclass(frozen=True)
class RowStep:
    """A step of row-wise Adagrad, computed but not applied: G += mean(g²), x -= learning_rate · g / √(G + ε).

    Attributes
    ----------
    rows
        Distinct rows (m,).
    gradients
        The sum g of each row's gradients, (m, dim).
    squares
        The rows' accumulators G after the step, (m,).
    """

    rows: Integers
    gradients: Floats
    squares: Floats

    @classmethod
    def from_gradients(
        cls, accumulators: Floats, rows: Integers, gradients: Floats, share: tuple[int, int] = (0, 1)
    ) -> "RowStep":
        """Compute a step; the accumulators do not change yet.

        Parameters
        ----------
        accumulators
            Accumulator of every row of the array that is trained.
        rows
            Row of each gradient, (n,); rows may repeat.
        gradients
            (n, dim).
        share
            The rows that step, as in `sum_rows`.
        """
        distinct, sums = sum_rows(rows, gradients, share)
        return cls(distinct, sums, accumulators[distinct] + np.einsum("nd,nd->n", sums, sums) / sums.shape[1])

    @property
    def is_finite(self) -> bool:
        """True if no gradient is infinite or NaN, and no square overflows."""
        return bool(np.isfinite(self.squares).all())

    def apply(self, vectors: Floats, accumulators: Floats, learning_rate: float, max_norm: float | None = None) -> None:
        """Change vectors (all rows, dim) and accumulators (all rows,) in place; overwrite the step's gradients.

        Parameters
        ----------
        vectors, accumulators
            The arrays that are trained.
        learning_rate
            Factor of the step.
        max_norm
            A longer vector is scaled to this length, so that the step is one of projected gradient descent (as in A.
            Lerer et al., PyTorch-BigGraph, MLSys 2019). None sets no bound.
        """
        accumulators[self.rows] = self.squares
        moves = self.gradients
        moves *= (learning_rate / np.sqrt(self.squares + EPSILON))[:, None].astype(moves.dtype, copy=False)
        moved = np.subtract(vectors.take(self.rows, axis=0), moves, out=moves)  # (m, dim)
        if max_norm is not None:
            squares = np.vecdot(moved, moved)
            long = np.flatnonzero(squares > max_norm**2)
            moved[long] *= (max_norm / np.sqrt(squares[long]))[:, None]
        vectors[self.rows] = moved


def update_parameters(
    parameters: Floats, accumulators: Floats, rows: Integers, gradients: Floats, learning_rate: float
) -> None:
    """Apply full Adagrad in place: G += g², x -= learning_rate · g / √(G + ε), where g is the sum of a row's gradients.

    Parameters
    ----------
    parameters, accumulators
        (relations, k) each.
    rows
        Row of each gradient, (n,); rows may repeat.
    gradients
        (n, k).
    learning_rate
        Factor of the step.
    """
    distinct = np.unique(rows)
    sums = (distinct[:, None] == rows).astype(gradients.dtype) @ gradients
    squares = accumulators[distinct] + sums * sums
    accumulators[distinct] = squares
    parameters[distinct] -= learning_rate * sums / np.sqrt(squares + EPSILON)
