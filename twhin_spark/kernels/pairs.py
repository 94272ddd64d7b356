"""Losses that are a sum over pairs: a term of each edge's own score, and a term of each of its negatives'."""

from abc import ABC, abstractmethod

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.sides import Side, diagonal, turned


class PairLoss(ABC):
    """w · own(f) + w Σ_n a_n · negative(f_n), where a_n is the weight of negative n over the number of negatives.

    What a loss of this kind knows is the two terms; `losses.Loss` says what it does with them.
    """

    counts_negatives = True

    @abstractmethod
    def own_loss(self, scores: Floats, weights: Floats) -> Floats:
        """Σ weights · own(score) over the edges of a chunk, (C,); scores and weights (C, B)."""

    @abstractmethod
    def own_gradient(self, scores: Floats, weights: Floats) -> Floats:
        """The gradient of that at the scores, (C, B)."""

    @abstractmethod
    def negative_loss(self, scores: Floats, weights: Floats) -> Floats:
        """Σ weights · negative(score) over a chunk, (C,); scores and weights (C, B, N)."""

    @abstractmethod
    def to_negative_gradient(self, scores: Floats, weights: Floats) -> None:
        """Scores become the gradient of that, in place; uses up the weights."""

    def side(self, scores: Floats, side: Side, edge_weights: Floats, bound: float, measure: bool) -> Floats | None:
        weights = _pair_weights(side, edge_weights)
        own = diagonal(scores).copy()
        loss = self.negative_loss(scores, weights) + self.own_loss(own, edge_weights) if measure else None
        self.to_negative_gradient(scores, weights)
        diagonal(scores)[:] = self.own_gradient(own, edge_weights)
        return loss

    def both_sides(
        self,
        scores: Floats,
        uniform: Floats,
        target: Side,
        source: Side,
        edge_weights: Floats,
        bound: float,
        measure: bool,
    ) -> Floats | None:
        # The term of a pair depends on its own score alone, so the sum of its weights serves both sides.
        edges = scores.shape[1]
        weights = _pair_weights(target, edge_weights)
        source_weights = _pair_weights(source, edge_weights)  # (C, B, B + U')
        weights[:, :, :edges] += turned(source_weights[:, :, :edges])
        uniform_weights = source_weights[:, :, edges:]
        own = diagonal(scores).copy()
        loss = None
        if measure:
            loss = self.negative_loss(scores, weights) + self.negative_loss(uniform, uniform_weights)
            loss += self.own_loss(own, 2 * edge_weights)
        self.to_negative_gradient(scores, weights)
        self.to_negative_gradient(uniform, uniform_weights)
        diagonal(scores)[:] = self.own_gradient(own, 2 * edge_weights)
        return loss


def _pair_weights(side: Side, edge_weights: Floats) -> Floats:
    """w_i a_n / (number of negatives of edge i), 0 where masked, (C, B, B + U)."""
    assert side.counts is not None
    per_negative = edge_weights / np.maximum(side.counts, 1).astype(edge_weights.dtype)  # (C, B)
    weights: Floats = per_negative[:, :, None] * side.weights[:, None, :]
    np.put(weights, side.masked, 0)
    return weights
