"""Losses of a chunk's scores, and the gradient of the loss with respect to every score.

A chunk has B edges. Corrupting one of their ends gives one `Side`: a block of in-batch negatives (B, B), whose
diagonal holds the scores of the edges themselves, and a block of uniform negatives (B, U).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass(frozen=True)
class Negatives:
    """Scores of the same N candidates for each of B edges.

    scores: (B, N).
    weights: (N,), what each candidate counts as a negative, 0 or more.
    masked: row and column numbers of the scores that are no negatives, because the candidate is the edge's own entity.
    """

    scores: Floats
    weights: Floats
    masked: tuple[Integers, Integers]


@dataclass(frozen=True)
class Side:
    """One corruption of a chunk: in_batch (B, B), with the edges' own scores on its diagonal, and uniform (B, U)."""

    in_batch: Negatives
    uniform: Negatives

    def negative_counts(self) -> Integers:
        """How many unmasked negatives each edge has on this side, (B,)."""
        edges, uniform = self.uniform.scores.shape
        masked = np.concatenate([self.in_batch.masked[0], self.uniform.masked[0]])
        counts: Integers = edges + uniform - np.bincount(masked, minlength=edges)
        return counts


class Loss(Protocol):
    """What a loss knows. Both methods take the edges' weights (B,) and sum over the chunk's edges."""

    def side(self, side: Side, edge_weights: Floats) -> tuple[float, Floats, Floats]:
        """The loss of one side, and its gradients at the scores of both blocks: (B, B), (B, U)."""
        ...

    def both_sides(self, target: Side, source: Side, edge_weights: Floats) -> tuple[float, Floats, Floats, Floats]:
        """The loss of two sides that share one matrix of in-batch scores, and its gradients.

        source.in_batch.scores is the transpose of target.in_batch.scores. The gradients are at target's in-batch
        scores (B, B), target's uniform scores (B, U) and source's uniform scores (B, U').
        """
        ...


@dataclass(frozen=True)
class Logistic:
    """-w log σ(f) - w Σ_n a_n log σ(-f_n), where a_n is the weight of negative n over the number of negatives."""

    def side(self, side: Side, edge_weights: Floats) -> tuple[float, Floats, Floats]:
        in_batch_weights, uniform_weights = _pair_weights(side, edge_weights)
        loss, in_batch = _scored_pairs(side.in_batch.scores, edge_weights, in_batch_weights)
        uniform_loss, uniform = _weighted_softplus(side.uniform.scores, uniform_weights)
        return loss + uniform_loss, in_batch, uniform

    def both_sides(self, target: Side, source: Side, edge_weights: Floats) -> tuple[float, Floats, Floats, Floats]:
        # The loss of a pair depends on its own score alone, so one pass with the sum of the weights serves both sides.
        target_in_batch_weights, target_weights = _pair_weights(target, edge_weights)
        source_in_batch_weights, source_weights = _pair_weights(source, edge_weights)
        target_in_batch_weights += source_in_batch_weights.T
        loss, in_batch = _scored_pairs(target.in_batch.scores, 2 * edge_weights, target_in_batch_weights)
        target_loss, target_uniform = _weighted_softplus(target.uniform.scores, target_weights)
        source_loss, source_uniform = _weighted_softplus(source.uniform.scores, source_weights)
        return loss + target_loss + source_loss, in_batch, target_uniform, source_uniform


@dataclass(frozen=True)
class Softmax:
    """-w log(e^(f/τ) / (e^(f/τ) + Σ_n a_n e^(f_n/τ))), where a_n is the weight of negative n and τ the temperature."""

    temperature: float = 1.0

    def side(self, side: Side, edge_weights: Floats) -> tuple[float, Floats, Floats]:
        positive = side.in_batch.scores.diagonal() / self.temperature  # (B,)
        in_batch, uniform = self._logits(side.in_batch), self._logits(side.uniform)
        # Subtracting the greatest logit keeps every exponential below 1 and their sum above 0.
        top = np.maximum(positive, in_batch.max(axis=1, initial=-np.inf))
        top = np.maximum(top, uniform.max(axis=1, initial=-np.inf))  # (B,)
        for logits in (in_batch, uniform):
            logits -= top[:, None]
            np.exp(logits, out=logits)
        total = np.exp(positive - top)
        np.fill_diagonal(in_batch, total)
        total = in_batch.sum(axis=1) + uniform.sum(axis=1)  # (B,)
        loss = float(edge_weights @ (np.log(total) + top - positive))

        scale = edge_weights / self.temperature
        in_batch *= (scale / total)[:, None]
        uniform *= (scale / total)[:, None]
        in_batch[np.diag_indices_from(in_batch)] -= scale
        return loss, in_batch, uniform

    def both_sides(self, target: Side, source: Side, edge_weights: Floats) -> tuple[float, Floats, Floats, Floats]:
        target_loss, target_in_batch, target_uniform = self.side(target, edge_weights)
        source_loss, source_in_batch, source_uniform = self.side(source, edge_weights)
        target_in_batch += source_in_batch.T
        return target_loss + source_loss, target_in_batch, target_uniform, source_uniform

    def _logits(self, negatives: Negatives) -> Floats:
        """f_n/τ + log a_n, (B, N): -inf, whose exponential is 0, where masked or of weight 0."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(negatives.weights)
        logits = negatives.scores / self.temperature
        logits += log_weights
        logits[negatives.masked] = -np.inf
        return logits


FLOOR = -60.0  # σ(-60) = 9e-27: below it a negative is as good as none, and e^60 is far from float32's greatest

LOSSES: dict[str, type[Logistic] | type[Softmax]] = {"logistic": Logistic, "softmax": Softmax}


def _pair_weights(side: Side, edge_weights: Floats) -> tuple[Floats, Floats]:
    """w_i a_n / (number of negatives of edge i), 0 where masked, for both blocks of a side: (B, B), (B, U)."""
    per_negative = edge_weights / np.maximum(side.negative_counts(), 1).astype(edge_weights.dtype)  # (B,)
    blocks = []
    for negatives in (side.in_batch, side.uniform):
        weights = np.empty_like(negatives.scores)  # in the memory order of the scores
        np.multiply(per_negative[:, None], negatives.weights, out=weights)
        weights[negatives.masked] = 0
        blocks.append(weights)
    return blocks[0], blocks[1]


def _scored_pairs(scores: Floats, edge_weights: Floats, pair_weights: Floats) -> tuple[float, Floats]:
    """The logistic loss of in-batch scores (B, B), edges on the diagonal, and its gradient (B, B)."""
    loss, gradient = _weighted_softplus(scores, pair_weights)
    # -log σ(f) = softplus(-f). The weight of the diagonal is 0 in pair_weights, so its gradient is still to be set.
    positive_loss, positive_gradient = _weighted_softplus(-scores.diagonal(), edge_weights)
    np.fill_diagonal(gradient, -positive_gradient)
    return loss + positive_loss, gradient


def _weighted_softplus(x: Floats, weights: Floats) -> tuple[float, Floats]:
    """Σ weights·log(1 + e^x), and its gradient weights·σ(x). x and weights: the same shape and memory order.

    With e = e^-x: σ(x) = 1/(1 + e) and log(1 + e^x) = x + log(1 + e), as long as e does not overflow: hence the floor.
    """
    x = np.maximum(x, x.dtype.type(FLOOR))
    e = np.negative(x)
    np.exp(e, out=e)
    e += 1
    sigmoid = np.reciprocal(e)
    np.log(e, out=e)
    x += e
    loss = float(np.vdot(weights, x))
    sigmoid *= weights
    return loss, sigmoid
