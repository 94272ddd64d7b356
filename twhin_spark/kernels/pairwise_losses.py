"""Losses that are a sum over pairs: a term of each edge's own score, and a term of each of its negatives'."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.corruption import Corruption, diagonal, transposed


class PairwiseLoss(ABC):
    """w · own(f) + w Σ_n a_n · negative(f_n), where a_n is the weight of negative n over the number of negatives.

    What a loss of this kind knows is the two terms; `losses.Loss` says what it does with them.
    """

    counts_negatives = True

    @abstractmethod
    def positive_loss(self, scores: Floats, weights: Floats) -> Floats:
        """Σ weights · own(score) over the edges of a chunk, (C,); scores and weights (C, B)."""

    @abstractmethod
    def positive_gradient(self, scores: Floats, weights: Floats) -> Floats:
        """The gradient of that at the scores, (C, B)."""

    @abstractmethod
    def negative_loss(self, scores: Floats, weights: Floats) -> Floats:
        """Σ weights · negative(score) over a chunk, (C,); scores and weights (C, B, N)."""

    @abstractmethod
    def to_negative_gradient(self, scores: Floats, weights: Floats) -> None:
        """Scores become the gradient of that, in place; uses up the weights."""

    @property
    def sharpness(self) -> float | None:
        """Negatives weigh in proportion to e^(sharpness · score), which is a constant to the gradient; None: alike."""
        return None

    def one_corruption(
        self, scores: Floats, corruption: Corruption, edge_weights: Floats, bound: float, measure: bool
    ) -> Floats | None:
        weights = _pair_weights(corruption, edge_weights)
        if self.sharpness is not None:
            sharpen([(scores, weights)], self.sharpness)
        own = diagonal(scores).copy()
        loss = self.negative_loss(scores, weights) + self.positive_loss(own, edge_weights) if measure else None
        self.to_negative_gradient(scores, weights)
        diagonal(scores)[:] = self.positive_gradient(own, edge_weights)
        return loss

    def both_corruptions(
        self,
        scores: Floats,
        uniform: Floats,
        target: Corruption,
        source: Corruption,
        edge_weights: Floats,
        bound: float,
        measure: bool,
    ) -> Floats | None:
        # The term of a pair depends on its own score alone, so the sum of its weights serves both sides.
        edges = scores.shape[1]
        weights = _pair_weights(target, edge_weights)
        source_weights = _pair_weights(source, edge_weights)  # (C, B, B + U')
        in_batch_weights, uniform_weights = source_weights[:, :, :edges], source_weights[:, :, edges:]
        if self.sharpness is not None:
            sharpen([(scores, weights)], self.sharpness)
            by_source = [(transposed(scores[:, :, :edges]), in_batch_weights), (uniform, uniform_weights)]
            sharpen(by_source, self.sharpness)
        weights[:, :, :edges] += transposed(in_batch_weights)
        own = diagonal(scores).copy()
        loss = None
        if measure:
            loss = self.negative_loss(scores, weights) + self.negative_loss(uniform, uniform_weights)
            loss += self.positive_loss(own, 2 * edge_weights)
        self.to_negative_gradient(scores, weights)
        self.to_negative_gradient(uniform, uniform_weights)
        diagonal(scores)[:] = self.positive_gradient(own, 2 * edge_weights)
        return loss


def sharpen(parts: Sequence[tuple[Floats, Floats]], sharpness: float) -> None:
    """Weights a_n become proportional to a_n e^(sharpness · score), in place; the sum over an edge's parts stays.

    parts: scores and weights (C, B, n) each, weights 0 or more.
    """
    greatest = np.maximum.reduce(
        [scores.max(axis=2, initial=-np.inf, where=weights > 0, keepdims=True) for scores, weights in parts]
    )
    before, after = np.zeros((2, *greatest.shape), greatest.dtype)  # (C, B, 1) each
    for scores, weights in parts:
        before += weights.sum(axis=2, keepdims=True)
        powers = np.minimum(scores - greatest, 0)  # what has no weight may score higher
        powers *= sharpness
        weights *= np.exp(powers, out=powers)
        after += weights.sum(axis=2, keepdims=True)
    share = np.divide(before, after, out=np.zeros_like(before), where=after > 0)
    for _, weights in parts:
        weights *= share


def _pair_weights(corruption: Corruption, edge_weights: Floats) -> Floats:
    """w_i a_n / (number of negatives of edge i), 0 where masked, (C, B, B + U)."""
    assert corruption.counts is not None
    per_negative = edge_weights / np.maximum(corruption.counts, 1).astype(edge_weights.dtype)  # (C, B)
    weights: Floats = per_negative[:, :, None] * corruption.weights[:, None, :]
    np.put(weights, corruption.masked, 0)
    return weights
