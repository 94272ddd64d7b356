"""One step of training: the loss of chunks of edges, and its gradient at every input.

C chunks have up to B edges each, all of one relation a chunk. The negatives of an edge are the other ends of its chunk
(in-batch) and U entities drawn uniformly for the chunk, on the target side and on the source side. A chunk with fewer
edges is filled up to B with edges of weight 0, which change nothing.
"""

from dataclasses import dataclass, replace

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.corruption import Corruption
from twhin_spark.kernels.false_negatives import equal_pairs
from twhin_spark.kernels.losses import Loss
from twhin_spark.kernels.operators import Operator
from twhin_spark.kernels.regularization import Penalty
from twhin_spark.kernels.similarity import COMPARATORS


@dataclass(frozen=True)
class Ends:
    """One end of the chunks' edges: the edges' own entities in the first B rows, uniform negatives in the others.

    vectors: (C, B + U, dim).
    ids: (C, B + U), equal exactly where the entities are equal.
    expected: (C, B + U), by what each negative's weight is divided, see kernels/expectation.py; None: by nothing.
    """

    vectors: Floats
    ids: Integers
    expected: Floats | None = None


@dataclass(frozen=True)
class Direction:
    """An operator with each chunk's parameters (C, parameter_count(dim))."""

    operator: Operator
    parameters: Floats


@dataclass(frozen=True)
class LossSettings:
    """The loss, and what an in-batch and a uniform negative count in it.

    comparator: how two vectors make a score, a name in COMPARATORS.
    logq: divide that by the expected weight of the negative, so that the sample stands for all loaded entities.
    penalty: on the size of vectors and parameters; None: there is none.
    """

    loss: Loss
    in_batch_weight: float = 1.0
    uniform_weight: float = 1.0
    logq: bool = False
    penalty: Penalty | None = None
    comparator: str = "dot"


@dataclass(frozen=True)
class ChunkGradients:
    """The gradients of chunks' summed loss.

    source, target: (C, B + U, dim), as in the ends.
    forward, backward: as the parameters of the two directions; backward is None for one-sided relations.
    loss: each chunk's, (C,), or None where it was not measured.
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
    """The loss of both corruptions of the chunks' edges, summed, and its gradients.

    weights: (C, B), the edges' weights: above 0, then 0 from where a chunk is filled up.
    forward: scores an edge as compare(op(source), target).
    backward: None for one-sided relations, whose forward score serves both corruptions. Two-sided relations score
        corrupted sources (and the edges beside them) as compare(source, op'(target)).
    measure: whether the loss is asked for: computing it takes longer than its gradient where it is logistic.
    """
    if backward is None:
        found = _one_sided(source, target, weights, forward, settings, measure)
    else:
        found = _two_sided(source, target, weights, forward, backward, settings, measure)
    penalty, edges = settings.penalty, weights.shape[1]
    if penalty is None:
        return found
    paid = penalty.add_ends(source.vectors[:, :edges], weights, found.source[:, :edges])
    paid += penalty.add_ends(target.vectors[:, :edges], weights, found.target[:, :edges])
    paid += penalty.add_relations(forward.parameters, weights, found.forward)
    if backward is not None and found.backward is not None:
        paid += penalty.add_relations(backward.parameters, weights, found.backward)
    return found if found.loss is None else replace(found, loss=found.loss + paid)


def _two_sided(
    source: Ends,
    target: Ends,
    weights: Floats,
    forward: Direction,
    backward: Direction,
    settings: LossSettings,
    measure: bool,
) -> ChunkGradients:
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
    edges, loss, compared = weights.shape[1], settings.loss, COMPARATORS[settings.comparator]
    left = compared(forward.operator.apply(forward.parameters, source.vectors))
    right = compared(target.vectors)
    x, y = left.vectors, right.vectors  # (C, B + U', dim), (C, B + U, dim)
    own_x, own_y, drawn_x = x[:, :edges], y[:, :edges], x[:, edges:]
    scale = x.dtype.type(loss.scale)
    scores = (own_x * scale) @ transposed(y)  # (C, B, B + U)
    uniform = (own_y * scale) @ transposed(drawn_x)  # (C, B, U')
    bound = loss.scale * left.greatest_norm() * right.greatest_norm()
    sides = _corruption(target, weights, settings), _corruption(source, weights, settings)
    measured = loss.both_corruptions(scores, uniform, *sides, weights, bound, measure)

    grad_x = np.empty_like(x)
    np.matmul(scores, y, out=grad_x[:, :edges])
    np.matmul(transposed(uniform), own_y, out=grad_x[:, edges:])
    grad_y = transposed(scores) @ own_x
    grad_y[:, :edges] += uniform @ drawn_x
    grad_seen = left.backward(grad_x)
    grad_source, grad_parameters = forward.operator.backward(forward.parameters, source.vectors, grad_seen)
    return ChunkGradients(grad_source, right.backward(grad_y), grad_parameters, None, measured)


def _one_corruption(
    query: Ends, answer: Ends, weights: Floats, direction: Direction, settings: LossSettings, measure: bool
) -> tuple[Floats | None, Floats, Floats, Floats]:
    """The loss with the answer corrupted; its gradients at query's and answer's vectors and at the parameters."""
    edges, loss, compared = weights.shape[1], settings.loss, COMPARATORS[settings.comparator]
    own = query.vectors[:, :edges]
    left, right = compared(direction.operator.apply(direction.parameters, own)), compared(answer.vectors)
    x, y = left.vectors, right.vectors  # (C, B, dim), (C, B + U, dim)
    scale = x.dtype.type(loss.scale)
    scores = (x * scale) @ transposed(y)  # (C, B, B + U)
    bound = loss.scale * left.greatest_norm() * right.greatest_norm()
    measured = loss.one_corruption(scores, _corruption(answer, weights, settings), weights, bound, measure)

    grad_query = np.zeros_like(query.vectors)  # the uniform negatives of the query's end have no part here
    grad_seen = left.backward(scores @ y)
    grad_query[:, :edges], grad_parameters = direction.operator.backward(direction.parameters, own, grad_seen)
    return measured, grad_query, right.backward(transposed(scores) @ x), grad_parameters


def _corruption(ends: Ends, weights: Floats, settings: LossSettings) -> Corruption:
    """The candidates at `ends`, with the weights and masks of the negatives."""
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
    """How many negatives the edges have, (C, B): what a chunk is filled up with is none."""
    edges, candidates = weights.shape[1], ids.shape[1]
    pair, candidate = np.divmod(masked, candidates)
    real = np.ones(ids.shape, bool)
    real[:, :edges] = weights > 0
    lost = np.bincount(pair[real[pair // edges, candidate]], minlength=weights.size).reshape(weights.shape)
    counts: Integers = real.sum(axis=1, keepdims=True) - lost
    return counts


def transposed(matrices: Floats) -> Floats:
    """The transposes of (C, m, n): views (C, n, m)."""
    return matrices.transpose(0, 2, 1)
