"""Pairwise losses: a sum of a term of each edge's positive score and a term of each of its negatives' scores."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from twhin_spark.kernels.arrays import Floats, transposed
from twhin_spark.kernels.corruption import Corruption, diagonal


class PairwiseLoss(ABC):
    """w · positive(f) + w Σ_n a_n · negative(f_n), where a_n is the weight of negative n over the number of negatives.

    A subclass defines the two terms and `scale`; this class makes a `Loss` of them.
    """

    counts_negatives = True

    @abstractmethod
    def positive_loss(self, scores: Floats, weights: Floats) -> Floats:
        """Return Σ weights · positive(score) over the edges of each chunk, (C,), of scores and weights (C, B)."""

    @abstractmethod
    def positive_gradient(self, scores: Floats, weights: Floats) -> Floats:
        """Return the gradient of `positive_loss` at the scores, (C, B)."""

    @abstractmethod
    def negative_loss(self, scores: Floats, weights: Floats) -> Floats:
        """Return Σ weights · negative(score) over each chunk, (C,), of scores and weights (C, B, N)."""

    @abstractmethod
    def to_negative_gradient(self, scores: Floats, weights: Floats) -> None:
        """Replace scores (C, B, N) by the gradient of `negative_loss`, in place; overwrites the weights."""

    @property
    def sharpness(self) -> float | None:
        """The factor in the weights e^(sharpness · score) of negatives, see `sharpen`; None for equal weights."""
        return None

    def one_corruption(
        self, scores: Floats, corruption: Corruption, edge_weights: Floats, bounds: Floats, measure: bool
    ) -> Floats | None:
        """Replace scores by gradients, see `Loss.one_corruption`."""
        weights = _pair_weights(corruption, edge_weights)
        if self.sharpness is not None:
            sharpen([(scores, weights)], self.sharpness)
        positive = diagonal(scores).copy()
        loss = self.negative_loss(scores, weights) + self.positive_loss(positive, edge_weights) if measure else None
        self.to_negative_gradient(scores, weights)
        diagonal(scores)[:] = self.positive_gradient(positive, edge_weights)
        return loss

    def both_corruptions(
        self,
        scores: Floats,
        uniform: Floats,
        target: Corruption,
        source: Corruption,
        edge_weights: Floats,
        bounds: Floats,
        measure: bool,
    ) -> Floats | None:
        """Replace scores by gradients, see `Loss.both_corruptions`."""
        # The term of a pair depends on its own score alone, so the sum of its weights serves both corruptions.
        edges = scores.shape[1]
        weights = _pair_weights(target, edge_weights)
        source_weights = _pair_weights(source, edge_weights)  # (C, B, B + U')
        in_batch_weights, uniform_weights = source_weights[:, :, :edges], source_weights[:, :, edges:]
        if self.sharpness is not None:
            sharpen([(scores, weights)], self.sharpness)
            by_source = [(transposed(scores[:, :, :edges]), in_batch_weights), (uniform, uniform_weights)]
            sharpen(by_source, self.sharpness)
        weights[:, :, :edges] += transposed(in_batch_weights)
        positive = diagonal(scores).copy()
        loss = None
        if measure:
            loss = self.negative_loss(scores, weights) + self.negative_loss(uniform, uniform_weights)
            loss += self.positive_loss(positive, 2 * edge_weights)
        self.to_negative_gradient(scores, weights)
        self.to_negative_gradient(uniform, uniform_weights)
        diagonal(scores)[:] = self.positive_gradient(positive, 2 * edge_weights)
        return loss


def sharpen(parts: Sequence[tuple[Floats, Floats]], sharpness: float) -> None:
    """Make weights a_n proportional to a_n e^(sharpness · score) in place; the sum of an edge's weights stays.

    Parameters
    ----------
    parts
        Scores and weights (C, B, n) of some negatives of each edge; weights are 0 or more. An edge's negatives are
        those of all parts.
    sharpness
        Factor of the scores in the exponent.
    """
    greatest = np.maximum.reduce(
        [scores.max(axis=2, initial=-np.inf, where=weights > 0, keepdims=True) for scores, weights in parts]
    )
    before, after = np.zeros((2, *greatest.shape), greatest.dtype)  # (C, B, 1) each
    for scores, weights in parts:
        before += weights.sum(axis=2, keepdims=True)
        powers = np.minimum(scores - greatest, 0)  # a candidate without weight may score higher
        powers *= sharpness
        weights *= np.exp(powers, out=powers)
        after += weights.sum(axis=2, keepdims=True)
    factor = np.divide(before, after, out=np.zeros_like(before), where=after > 0)
    for _, weights in parts:
        weights *= factor


def _pair_weights(corruption: Corruption, edge_weights: Floats) -> Floats:
    """Return w_i a_n / (number of negatives of edge i), 0 for masked pairs, (C, B, B + U)."""
    assert corruption.counts is not None
    per_negative = edge_weights / np.maximum(corruption.counts, 1).astype(edge_weights.dtype)  # (C, B)
    weights: Floats = per_negative[:, :, None] * corruption.weights[:, None, :]
    np.put(weights, corruption.masked, 0)
    return weights
