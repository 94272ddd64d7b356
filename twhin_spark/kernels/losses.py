"""Losses of the scores of C chunks, and the gradient of the loss with respect to every score.

A chunk has B edges. Each edge is scored against B + U candidates: the ends of the chunk's edges, so that the edges' own
scores are on the diagonal, then U uniform negatives. In place, scores become gradients: the arrays are as large as the
caches, and another one would cost more than the arithmetic.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass(frozen=True)
class Side:
    """The candidates of one corruption.

    weights: (C, B + U), what each candidate counts as a negative, 0 or more.
    masked: flat positions in (C, B, B + U) of what is no negative, as the candidate is the edge's own entity.
    counts: (C, B), how many negatives each edge has; None where the loss does not ask.
    """

    weights: Floats
    masked: Integers
    counts: Integers | None


class Loss(Protocol):
    """What a loss knows. Methods turn scores into gradients in place and return each chunk's loss, (C,).

    They take scores times `scale`, and give the gradients at the scores themselves. edge_weights: (C, B).
    """

    @property
    def scale(self) -> float:
        """What scores are multiplied by before they get here."""
        ...

    @property
    def counts_negatives(self) -> bool:
        """Whether it asks how many negatives an edge has."""
        ...

    def side(self, scores: Floats, side: Side, edge_weights: Floats, bound: float, measure: bool) -> Floats | None:
        """One corruption: scores (C, B, B + U).

        bound: no score is further from 0.
        measure: whether the loss is asked for; without it None may come back, where it takes long to compute.
        """
        ...

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
        """Two corruptions that share their in-batch scores.

        scores: (C, B, B + U), edges by target candidates; its first B columns are source candidates by edges, too.
        uniform: (C, B, U'), edges by uniform source candidates.
        """
        ...


@dataclass(frozen=True)
class Logistic:
    """-w log σ(f) - w Σ_n a_n log σ(-f_n), where a_n is the weight of negative n over the number of negatives."""

    counts_negatives = True

    @property
    def scale(self) -> float:
        return 0.5  # σ(f) = (1 + tanh(f/2)) / 2, and tanh is NumPy's fastest way there

    def side(self, scores: Floats, side: Side, edge_weights: Floats, bound: float, measure: bool) -> Floats | None:
        weights = _pair_weights(side, edge_weights)
        positive = _diagonal(scores).copy()
        loss = _softplus_sum(scores, weights) + _positive_loss(positive, edge_weights) if measure else None
        _to_gradient(scores, weights)
        _diagonal(scores)[:] = _positive_gradient(positive, edge_weights)
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
        # The loss of a pair depends on its own score alone, so the sum of its weights serves both sides.
        edges = scores.shape[1]
        weights = _pair_weights(target, edge_weights)
        source_weights = _pair_weights(source, edge_weights)  # (C, B, B + U')
        weights[:, :, :edges] += _turned(source_weights[:, :, :edges])
        uniform_weights = source_weights[:, :, edges:]
        positive = _diagonal(scores).copy()
        loss = None
        if measure:
            loss = _softplus_sum(scores, weights) + _softplus_sum(uniform, uniform_weights)
            loss += _positive_loss(positive, 2 * edge_weights)
        _to_gradient(scores, weights)
        _to_gradient(uniform, uniform_weights)
        _diagonal(scores)[:] = _positive_gradient(positive, 2 * edge_weights)
        return loss


@dataclass(frozen=True)
class Softmax:
    """-w log(e^(f/τ) / (e^(f/τ) + Σ_n a_n e^(f_n/τ))), where a_n is the weight of negative n and τ the temperature."""

    temperature: float = 1.0
    counts_negatives = False

    @property
    def scale(self) -> float:
        return 1 / self.temperature

    def side(self, scores: Floats, side: Side, edge_weights: Floats, bound: float, measure: bool) -> Floats:
        own = _diagonal(scores).copy()
        if not bound < SAFE:  # every exponential is 1 at most, and one of a row is
            greatest = _greatest(scores, side, own)
            scores -= greatest[:, :, None]
            own -= greatest
        np.exp(scores, out=scores)
        return self._of_exponentials(scores, own, side, edge_weights)

    def both_sides(
        self,
        scores: Floats,
        uniform: Floats,
        target: Side,
        source: Side,
        edge_weights: Floats,
        bound: float,
        measure: bool,
    ) -> Floats:
        # The source side sees the in-batch scores by column; where they need no shift, so does it their exponentials.
        edges, safe = scores.shape[1], bound < SAFE
        own = _diagonal(scores).copy()
        if safe:
            np.exp(scores, out=scores)
            np.exp(uniform, out=uniform)
        # Not `concatenate`: it may keep the transpose's order in memory, which every later pass would pay for.
        by_source = np.empty((*scores.shape[:2], edges + uniform.shape[2]), scores.dtype)  # (C, B, B + U')
        by_source[:, :, :edges] = _turned(scores[:, :, :edges])
        by_source[:, :, edges:] = uniform
        if safe:
            loss = self._of_exponentials(by_source, own, source, edge_weights)
            loss += self._of_exponentials(scores, own, target, edge_weights)
        else:
            loss = self.side(by_source, source, edge_weights, bound, measure)
            loss += self.side(scores, target, edge_weights, bound, measure)
        scores[:, :, :edges] += _turned(by_source[:, :, :edges])
        uniform[:] = by_source[:, :, edges:]
        return loss

    def _of_exponentials(self, scores: Floats, own: Floats, side: Side, edge_weights: Floats) -> Floats:
        """From e^(f/τ) (C, B, B + U) to gradients, in place; own: f/τ of the edges (C, B). Returns the loss, (C,)."""
        scores *= side.weights[:, None, :]
        np.put(scores, side.masked, 0)
        of_own = np.exp(own)
        total = scores.sum(axis=2) + of_own  # (C, B)
        weights = edge_weights * scores.dtype.type(self.scale)
        scores *= (weights / total)[:, :, None]
        _diagonal(scores)[:] = weights * (of_own / total - 1)
        loss: Floats = (edge_weights * (np.log(total) - own)).sum(axis=1)
        return loss


SAFE = 60.0  # e^60 times the number of candidates, and e^-60, are far inside float32

LOSSES: dict[str, type[Logistic] | type[Softmax]] = {"logistic": Logistic, "softmax": Softmax}


def _diagonal(scores: Floats) -> Floats:
    """A view of the edges' own scores, (C, B)."""
    diagonal: Floats = np.einsum("cbb->cb", scores[:, :, : scores.shape[1]])
    return diagonal


def _turned(scores: Floats) -> Floats:
    """The transposes of in-batch scores (C, B, B), a view."""
    return scores.transpose(0, 2, 1)


def _greatest(scores: Floats, side: Side, positive: Floats) -> Floats:
    """The greatest of an edge's own score and its negatives', (C, B). What does not count becomes -inf."""
    np.put(scores, side.masked, -np.inf)
    scores.transpose(0, 2, 1)[side.weights == 0] = -np.inf
    greatest: Floats = np.maximum(scores.max(axis=2), positive)
    return greatest


def _pair_weights(side: Side, edge_weights: Floats) -> Floats:
    """w_i a_n / (number of negatives of edge i), 0 where masked, (C, B, B + U)."""
    assert side.counts is not None
    per_negative = edge_weights / np.maximum(side.counts, 1).astype(edge_weights.dtype)  # (C, B)
    weights: Floats = per_negative[:, :, None] * side.weights[:, None, :]
    np.put(weights, side.masked, 0)
    return weights


def _to_gradient(halves: Floats, weights: Floats) -> None:
    """Half scores become weights · σ(score), in place; uses up the weights."""
    np.tanh(halves, out=halves)
    halves += 1
    weights *= 0.5
    halves *= weights


def _positive_gradient(halves: Floats, weights: Floats) -> Floats:
    """-weights · σ(-score), (C, B), of half scores."""
    gradient: Floats = weights * (np.tanh(halves) - 1) / 2
    return gradient


def _positive_loss(halves: Floats, weights: Floats) -> Floats:
    """Σ -weights · log σ(score) over the edges of a chunk, (C,), of half scores (C, B)."""
    return _softplus_sum(-halves[:, :, None], weights[:, :, None])


def _softplus_sum(halves: Floats, weights: Floats) -> Floats:
    """Σ weights · log(1 + e^score) over a chunk, (C,), of half scores (C, B, N)."""
    softplus = np.abs(halves)
    softplus *= -2
    np.exp(softplus, out=softplus)
    softplus += 1
    np.log(softplus, out=softplus)  # log(1 + e^-|x|), to which max(x, 0) is added
    softplus += 2 * np.maximum(halves, 0)
    softplus *= weights
    total: Floats = softplus.sum(axis=(1, 2))
    return total
