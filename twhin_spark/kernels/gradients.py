"""Gradients of one training step: the loss of chunks of edges, and its gradient at every input.

C chunks have up to B edges each, and each chunk has one relation. An edge is corrupted at both ends: its negatives are
the entities at that end of the chunk's other edges (in-batch) and U entities drawn uniformly for the chunk. A chunk
with fewer edges is filled up to B with edges of weight 0, which change nothing.
"""

from dataclasses import dataclass, replace

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers, transposed
from twhin_spark.kernels.corruption import Corruption
from twhin_spark.kernels.false_negatives import equal_pairs
from twhin_spark.kernels.losses import Loss
from twhin_spark.kernels.operators import Operator
from twhin_spark.kernels.regularization import Penalty
from twhin_spark.kernels.similarity import COMPARATORS


@dataclass(frozen=True)
class Ends:
    """One end of the chunks' edges: the edges' own entities in the first B rows, uniform negatives in the other U.

    Attributes
    ----------
    vectors
        (C, B + U, dim).
    ids
        Numbers of the entities, (C, B + U), equal exactly if the entities are equal.
    expected
        The divisor of each negative's weight, (C, B + U), see logq.py; None for 1.
    """

    vectors: Floats
    ids: Integers
    expected: Floats | None = None


@dataclass(frozen=True)
class Direction:
    """An operator with the parameters of each chunk's relation, (C, parameter_count(dim))."""

    operator: Operator
    parameters: Floats


@dataclass(frozen=True)
class LossSettings:
    """The loss function and the weights of negatives in it.

    Attributes
    ----------
    loss
        The loss of scores.
    in_batch_weight, uniform_weight
        Weights of an in-batch and of a uniform negative.
    logq
        If true, weights are divided by the number of times that the negative is expected, so that the sample stands for
        all entities (logQ correction, see logq.py).
    penalty
        Penalty on vectors and parameters, or None.
    comparator
        The similarity of two vectors, a name in COMPARATORS.
    """

    loss: Loss
    in_batch_weight: float = 1.0
    uniform_weight: float = 1.0
    logq: bool = False
    penalty: Penalty | None = None
    comparator: str = "dot"


@dataclass(frozen=True)
class ChunkGradients:
    """The gradients of the summed loss of C chunks.

    Attributes
    ----------
    source, target
        Gradients at the vectors of the ends, (C, B + U, dim).
    forward, backward
        Gradients at the parameters of the directions, (C, k); `backward` is None for one-sided relations.
    loss
        The loss of each chunk, (C,), or None if it was not measured.
    """

    source: Floats
    target: Floats
    forward: Floats
    backward: Floats | None
    loss: Floats | None


def chunk_gradients(
    source: Ends,
    target: Ends,
    weights: Floats,
    forward: Direction,
    backward: Direction | None,
    settings: LossSettings,
    *,
    measure: bool = True,
) -> ChunkGradients:
    """Compute the loss of both corruptions of the chunks' edges, and its gradients.

    Parameters
    ----------
    source, target
        The ends of the edges, with uniform negatives.
    weights
        The edges' weights, (C, B): above 0, and 0 for the edges that a chunk is filled up with.
    forward
        Direction that scores an edge as compare(op(source), target).
    backward
        Direction that scores corrupted sources, and the edges beside them, as compare(source, op'(target)). None for
        one-sided relations, whose forward score serves both corruptions.
    settings
        The loss and its weights.
    measure
        If false, the loss is not needed. The logistic loss takes longer to compute than its gradient.
    """
    if backward is None:
        gradients = _one_sided(source, target, weights, forward, settings, measure)
    else:
        gradients = _two_sided(source, target, weights, forward, backward, settings, measure)
    penalty, edges = settings.penalty, weights.shape[1]
    if penalty is None:
        return gradients
    cost = penalty.add_ends(source.vectors[:, :edges], weights, gradients.source[:, :edges])  # (C,)
    cost += penalty.add_ends(target.vectors[:, :edges], weights, gradients.target[:, :edges])
    cost += penalty.add_relations(forward.parameters, weights, gradients.forward)
    if backward is not None and gradients.backward is not None:
        cost += penalty.add_relations(backward.parameters, weights, gradients.backward)
    return gradients if gradients.loss is None else replace(gradients, loss=gradients.loss + cost)


def _two_sided(
    source: Ends,
    target: Ends,
    weights: Floats,
    forward: Direction,
    backward: Direction,
    settings: LossSettings,
    measure: bool,
) -> ChunkGradients:
    """Compute the gradients of relations with parameters for each direction."""
    loss, grad_source, grad_target, grad_forward = _one_corruption(source, target, weights, forward, settings, measure)
    other, more_target, more_source, grad_backward = _one_corruption(
        target, source, weights, backward, settings, measure
    )
    grad_source += more_source
    grad_target += more_target
    loss = None if loss is None or other is None else loss + other
    return ChunkGradients(grad_source, grad_target, grad_forward, grad_backward, loss)


def _one_sided(
    source: Ends, target: Ends, weights: Floats, forward: Direction, settings: LossSettings, measure: bool
) -> ChunkGradients:
    """Compute the gradients of relations whose forward score serves both corruptions."""
    edges, loss, compared = weights.shape[1], settings.loss, COMPARATORS[settings.comparator]
    left = compared(forward.operator.apply(forward.parameters, source.vectors))
    right = compared(target.vectors)
    x, y = left.vectors, right.vectors  # (C, B + U', dim), (C, B + U, dim)
    edge_x, edge_y, uniform_x = x[:, :edges], y[:, :edges], x[:, edges:]
    scale = x.dtype.type(loss.scale)
    scores = (edge_x * scale) @ transposed(y)  # (C, B, B + U)
    uniform = (edge_y * scale) @ transposed(uniform_x)  # (C, B, U')
    bounds = loss.scale * left.greatest_norms() * right.greatest_norms()
    corruptions = _corruption(target, weights, settings), _corruption(source, weights, settings)
    measured = loss.both_corruptions(scores, uniform, *corruptions, weights, bounds, measure)

    grad_x = np.empty_like(x)
    np.matmul(scores, y, out=grad_x[:, :edges])
    np.matmul(transposed(uniform), edge_y, out=grad_x[:, edges:])
    grad_y = transposed(scores) @ edge_x
    grad_y[:, :edges] += uniform @ uniform_x
    grad_changed = left.backward(grad_x)
    grad_source, grad_parameters = forward.operator.backward(forward.parameters, source.vectors, grad_changed)
    return ChunkGradients(grad_source, right.backward(grad_y), grad_parameters, None, measured)


def _one_corruption(
    query: Ends, answer: Ends, weights: Floats, direction: Direction, settings: LossSettings, measure: bool
) -> tuple[Floats | None, Floats, Floats, Floats]:
    """Return the loss with the answer corrupted, and the gradients at query, answer and parameters."""
    edges, loss, compared = weights.shape[1], settings.loss, COMPARATORS[settings.comparator]
    vectors = query.vectors[:, :edges]
    left, right = compared(direction.operator.apply(direction.parameters, vectors)), compared(answer.vectors)
    x, y = left.vectors, right.vectors  # (C, B, dim), (C, B + U, dim)
    scale = x.dtype.type(loss.scale)
    scores = (x * scale) @ transposed(y)  # (C, B, B + U)
    bounds = loss.scale * left.greatest_norms() * right.greatest_norms()
    measured = loss.one_corruption(scores, _corruption(answer, weights, settings), weights, bounds, measure)

    # The uniform negatives at the query's end take no part in this corruption: their gradients stay 0.
    grad_query = np.zeros_like(query.vectors)
    grad_changed = left.backward(scores @ y)
    grad_query[:, :edges], grad_parameters = direction.operator.backward(direction.parameters, vectors, grad_changed)
    return measured, grad_query, right.backward(transposed(scores) @ x), grad_parameters


def _corruption(ends: Ends, weights: Floats, settings: LossSettings) -> Corruption:
    """Return the candidates at an end, with the weights and masks of the negatives."""
    ids, edges = ends.ids, weights.shape[1]
    # An in-batch negative counts as much as its own edge, so that one edge of weight 2 is worth two of weight 1.
    filled = np.count_nonzero(weights, axis=1, keepdims=True)  # (C, 1)
    negatives = np.full(ids.shape, settings.uniform_weight, weights.dtype)
    in_batch_weight = weights.dtype.type(settings.in_batch_weight)
    negatives[:, :edges] = weights * (in_batch_weight * filled / weights.sum(axis=1, keepdims=True))
    if ends.expected is not None:
        negatives /= ends.expected
    masked = equal_pairs(ids[:, :edges], ids)
    counts = _counts(ids, masked, weights) if settings.loss.counts_negatives else None
    return Corruption(negatives, masked, counts)


def _counts(ids: Integers, masked: Integers, weights: Floats) -> Integers:
    """Count the negatives of each edge, (C, B), without the edges that a chunk is filled up with."""
    edges, candidates = weights.shape[1], ids.shape[1]
    pair, candidate = np.divmod(masked, candidates)
    real = np.ones(ids.shape, bool)
    real[:, :edges] = weights > 0
    masked_counts = np.bincount(pair[real[pair // edges, candidate]], minlength=weights.size).reshape(weights.shape)
    counts: Integers = real.sum(axis=1, keepdims=True) - masked_counts
    return counts
