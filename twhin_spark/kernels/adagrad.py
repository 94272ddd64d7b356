"""Adagrad, in place: one accumulator an entity's row (row-wise), one a component of a relation's parameters (full)."""

import numpy as np
from scipy import sparse

from twhin_spark.kernels.arrays import Floats, Integers

EPSILON = 1e-10  # keeps the step finite where no gradient has come yet


def sum_rows(rows: Integers, gradients: Floats) -> tuple[Integers, Floats]:
    """The sum of the gradients (n, dim) of equal rows (n,): the distinct rows (m,), ascending, and sums (m, dim).

    Gradients of a row are added in the order in which they stand, so equal inputs give equal bits.
    """
    order = np.argsort(rows, kind="stable")
    in_order = rows[order]
    first = np.flatnonzero(np.diff(in_order, prepend=in_order[:1] - 1))
    bounds = np.append(first, len(rows))
    ones = np.ones(len(rows), gradients.dtype)
    selection = sparse.csr_array((ones, order, bounds), shape=(len(first), len(rows)))
    return in_order[first], selection @ gradients


def update_rows(vectors: Floats, accumulators: Floats, rows: Integers, gradients: Floats, learning_rate: float) -> None:
    """Row-wise Adagrad: G += mean(g²), x -= learning_rate · g / √(G + ε), with g the sum of a row's gradients.

    vectors: (rows, dim) and accumulators: (rows,) are changed in place.
    rows: (n,), may repeat. gradients: (n, dim).
    """
    distinct, sums = sum_rows(rows, gradients)
    squares = accumulators[distinct] + np.einsum("nd,nd->n", sums, sums) / vectors.shape[1]
    accumulators[distinct] = squares
    sums *= (learning_rate / np.sqrt(squares + EPSILON))[:, None].astype(sums.dtype, copy=False)
    vectors[distinct] -= sums


def update_parameters(parameters: Floats, accumulators: Floats, gradient: Floats, learning_rate: float) -> None:
    """Full Adagrad: G += g², x -= learning_rate · g / √(G + ε), componentwise and in place. All of one shape."""
    accumulators += gradient * gradient
    parameters -= learning_rate * gradient / np.sqrt(accumulators + EPSILON)
