"""One step of training: the loss of a chunk of edges of one relation, and its gradient at every input.

A chunk has B edges of one relation. The negatives of edge i are the other edges' ends (in-batch) and U entities drawn
uniformly for the whole chunk, on the target side and on the source side.
"""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.losses import Loss, Negatives, Side
from twhin_spark.kernels.operators import Operator


@dataclass(frozen=True)
class Ends:
    """One end of a chunk's edges: the edges' own entities in the first B rows, uniform negatives in the others.

    vectors: (B + U, dim).
    ids: (B + U,), equal exactly where the entities are equal.
    expected: (B + U,), by what each negative's weight is divided, see kernels/expectation.py; None divides by nothing.
    """

    vectors: Floats
    ids: Integers
    expected: Floats | None = None


@dataclass(frozen=True)
class Direction:
    """A relation's operator with its parameters (parameter_count(dim),)."""

    operator: Operator
    parameters: Floats


@dataclass(frozen=True)
class LossSettings:
    """The loss, and what an in-batch and a uniform negative count in it.

    logq: divide that by the expected weight of the negative, so that the sample stands for all loaded entities.
    """

    loss: Loss
    in_batch_weight: float = 1.0
    uniform_weight: float = 1.0
    logq: bool = False


@dataclass(frozen=True)
class ChunkGradients:
    """The summed loss of a chunk and its gradients.

    source, target: (B + U, dim), as in the chunk's ends.
    forward, backward: as the parameters of the two directions; backward is None for a one-sided relation.
    """

    loss: float
    source: Floats
    target: Floats
    forward: Floats
    backward: Floats | None


def chunk_gradients(
    source: Ends,
    target: Ends,
    weights: Floats,
    forward: Direction,
    backward: Direction | None,
    settings: LossSettings,
) -> ChunkGradients:
    """The loss of both corruptions of B edges, summed, and its gradients.

    weights: (B,), the edges' weights, above 0.
    forward: scores an edge as dot(op(source), target).
    backward: None for a one-sided relation, whose forward score serves both corruptions. A two-sided relation scores
        corrupted sources (and the edges beside them) as dot(source, op'(target)).
    """
    if backward is None:
        return _one_sided(source, target, weights, forward, settings)
    loss, grad_source, grad_target, grad_forward = _one_corruption(source, target, weights, forward, settings)
    other_loss, more_target, more_source, grad_backward = _one_corruption(target, source, weights, backward, settings)
    grad_source += more_source
    grad_target += more_target
    return ChunkGradients(loss + other_loss, grad_source, grad_target, grad_forward, grad_backward)


def _one_sided(
    source: Ends, target: Ends, weights: Floats, forward: Direction, settings: LossSettings
) -> ChunkGradients:
    edges = len(weights)
    x = forward.operator.apply(forward.parameters, source.vectors)  # (B + U, dim)
    y = target.vectors  # (B + U', dim)
    in_batch = x[:edges] @ y[:edges].T  # (B, B)
    target_side = _side(in_batch, x[:edges] @ y[edges:].T, target, weights, settings)
    source_side = _side(in_batch.T, y[:edges] @ x[edges:].T, source, weights, settings)
    loss, g_in_batch, g_target, g_source = settings.loss.both_sides(target_side, source_side, weights)

    grad_x = np.empty_like(x)
    np.matmul(g_in_batch, y[:edges], out=grad_x[:edges])
    grad_x[:edges] += g_target @ y[edges:]
    np.matmul(g_source.T, y[:edges], out=grad_x[edges:])
    grad_y = np.empty_like(y)
    np.matmul(g_in_batch.T, x[:edges], out=grad_y[:edges])
    grad_y[:edges] += g_source @ x[edges:]
    np.matmul(g_target.T, x[:edges], out=grad_y[edges:])
    grad_source, grad_parameters = forward.operator.backward(forward.parameters, source.vectors, grad_x)
    return ChunkGradients(loss, grad_source, grad_y, grad_parameters, None)


def _one_corruption(
    query: Ends, answer: Ends, weights: Floats, direction: Direction, settings: LossSettings
) -> tuple[float, Floats, Floats, Floats]:
    """The loss with the answer corrupted; its gradients at query's and answer's vectors and at the parameters."""
    edges = len(weights)
    own = query.vectors[:edges]
    x = direction.operator.apply(direction.parameters, own)  # (B, dim)
    y = answer.vectors  # (B + U, dim)
    side = _side(x @ y[:edges].T, x @ y[edges:].T, answer, weights, settings)
    loss, g_in_batch, g_uniform = settings.loss.side(side, weights)

    grad_y = np.empty_like(y)
    np.matmul(g_in_batch.T, x, out=grad_y[:edges])
    np.matmul(g_uniform.T, x, out=grad_y[edges:])
    grad_x = g_in_batch @ y[:edges]
    grad_x += g_uniform @ y[edges:]
    grad_query = np.zeros_like(query.vectors)  # the uniform negatives of the query's end have no part here
    grad_query[:edges], grad_parameters = direction.operator.backward(direction.parameters, own, grad_x)
    return loss, grad_query, grad_y, grad_parameters


def _side(in_batch: Floats, uniform: Floats, ends: Ends, weights: Floats, settings: LossSettings) -> Side:
    """The scores (B, B) and (B, U) of the entities at `ends` with the weights and masks of the negatives."""
    edges = len(weights)
    dtype = in_batch.dtype
    negatives = np.full(len(ends.ids), settings.uniform_weight, dtype)
    # An in-batch negative counts as much as its own edge, so that one edge of weight 2 is worth two of weight 1.
    negatives[:edges] = weights * dtype.type(settings.in_batch_weight) / weights.mean()
    if ends.expected is not None:
        negatives /= ends.expected
    own, drawn = ends.ids[:edges], ends.ids[edges:]
    return Side(
        Negatives(in_batch, negatives[:edges], _equal_pairs(own, own)),
        Negatives(uniform, negatives[edges:], _equal_pairs(own, drawn)),
    )


def _equal_pairs(left: Integers, right: Integers) -> tuple[Integers, Integers]:
    """All (i, j) with left[i] == right[j], as two arrays. Much cheaper than comparing all pairs: equal ids are few."""
    order = np.argsort(right, kind="stable")
    in_order = right[order]
    first = np.searchsorted(in_order, left, side="left")
    counts = np.searchsorted(in_order, left, side="right") - first
    rows = np.repeat(np.arange(len(left)), counts)
    starts = np.repeat(first - (np.cumsum(counts) - counts), counts)  # so that starts + running number = position
    return rows, order[starts + np.arange(len(rows))]
