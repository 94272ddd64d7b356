"""Losses of the scores of C chunks (see sides.py), and their gradient with respect to every score.

In place, scores become gradients: the arrays are as large as the caches, and another one would cost more than the
arithmetic.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.corruption import Corruption, diagonal, transposed
from twhin_spark.kernels.pairwise_losses import PairwiseLoss

SAFE_EXPONENT = 60.0  # e^60 times the number of candidates, and e^-60, are far inside float32


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

    def one_corruption(
        self, scores: Floats, corruption: Corruption, edge_weights: Floats, bound: float, measure: bool
    ) -> Floats | None:
        """One corruption: scores (C, B, B + U).

        bound: no score is further from 0.
        measure: whether the loss is asked for; without it None may come back, where it takes long to compute.
        """
        ...

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
        """Two corruptions that share their in-batch scores.

        scores: (C, B, B + U), edges by target candidates; its first B columns are source candidates by edges, too.
        uniform: (C, B, U'), edges by uniform source candidates.
        """
        ...


@dataclass(frozen=True)
class Logistic(PairwiseLoss):
    """-w log σ(f) - w Σ_n a_n log σ(-f_n), where a_n is the weight of negative n over the number of negatives.

    With an adversarial temperature α, what the negatives weigh in all is divided among them in proportion to
    a_n e^(α f_n): Z. Sun et al.: RotatE: Knowledge Graph Embedding by Relational Rotation in Complex Space, ICLR 2019,
    eq. 5. There, as here, the gradient takes these weights as constants.
    """

    adversarial_temperature: float | None = None

    @property
    def scale(self) -> float:
        return 0.5  # σ(f) = (1 + tanh(f/2)) / 2, and tanh is NumPy's fastest way there

    @property
    def sharpness(self) -> float | None:
        return None if self.adversarial_temperature is None else self.adversarial_temperature / self.scale

    def positive_loss(self, scores: Floats, weights: Floats) -> Floats:
        return _softplus_sum(-scores[:, :, None], weights[:, :, None])

    def positive_gradient(self, scores: Floats, weights: Floats) -> Floats:
        gradient: Floats = weights * (np.tanh(scores) - 1) / 2
        return gradient

    def negative_loss(self, scores: Floats, weights: Floats) -> Floats:
        return _softplus_sum(scores, weights)

    def to_negative_gradient(self, scores: Floats, weights: Floats) -> None:
        np.tanh(scores, out=scores)
        scores += 1
        weights *= 0.5
        scores *= weights


@dataclass(frozen=True)
class CosineContrastive(PairwiseLoss):
    """w (1 - f) + w Σ_n a_n max(0, f_n - margin), where a_n is the weight of negative n over the number of negatives.

    f are cosines. K. Mao et al.: SimpleX: A Simple and Strong Baseline for Collaborative Filtering, CIKM 2021, eq. 1.
    """

    margin: float = 0.9

    @property
    def scale(self) -> float:
        return 1.0

    def positive_loss(self, scores: Floats, weights: Floats) -> Floats:
        loss: Floats = (weights * (1 - scores)).sum(axis=1)
        return loss

    def positive_gradient(self, scores: Floats, weights: Floats) -> Floats:
        return -weights

    def negative_loss(self, scores: Floats, weights: Floats) -> Floats:
        above = np.maximum(scores - scores.dtype.type(self.margin), 0)
        loss: Floats = np.einsum("cbn,cbn->c", above, weights)
        return loss

    def to_negative_gradient(self, scores: Floats, weights: Floats) -> None:
        np.greater(scores, self.margin, out=scores)  # 1 or 0
        scores *= weights


@dataclass(frozen=True)
class Softmax:
    """-w log(e^(f/τ) / (e^(f/τ) + Σ_n a_n e^(f_n/τ))), where a_n is the weight of negative n and τ the temperature."""

    temperature: float = 1.0
    counts_negatives = False

    @property
    def scale(self) -> float:
        return 1 / self.temperature

    def one_corruption(
        self, scores: Floats, corruption: Corruption, edge_weights: Floats, bound: float, measure: bool
    ) -> Floats:
        own = diagonal(scores).copy()
        if not bound < SAFE_EXPONENT:  # every exponential is 1 at most, and one of a row is
            greatest = _greatest(scores, corruption, own)
            scores -= greatest[:, :, None]
            own -= greatest
        np.exp(scores, out=scores)
        return self._of_exponentials(scores, own, corruption, edge_weights)

    def both_corruptions(
        self,
        scores: Floats,
        uniform: Floats,
        target: Corruption,
        source: Corruption,
        edge_weights: Floats,
        bound: float,
        measure: bool,
    ) -> Floats:
        # The source side sees the in-batch scores by column; where they need no shift, so does it their exponentials.
        edges, safe = scores.shape[1], bound < SAFE_EXPONENT
        own = diagonal(scores).copy()
        if safe:
            np.exp(scores, out=scores)
            np.exp(uniform, out=uniform)
        # Not `concatenate`: it may keep the transpose's order in memory, which every later pass would pay for.
        by_source = np.empty((*scores.shape[:2], edges + uniform.shape[2]), scores.dtype)  # (C, B, B + U')
        by_source[:, :, :edges] = transposed(scores[:, :, :edges])
        by_source[:, :, edges:] = uniform
        if safe:
            loss = self._of_exponentials(by_source, own, source, edge_weights)
            loss += self._of_exponentials(scores, own, target, edge_weights)
        else:
            loss = self.one_corruption(by_source, source, edge_weights, bound, measure)
            loss += self.one_corruption(scores, target, edge_weights, bound, measure)
        scores[:, :, :edges] += transposed(by_source[:, :, :edges])
        uniform[:] = by_source[:, :, edges:]
        return loss

    def _of_exponentials(self, scores: Floats, own: Floats, corruption: Corruption, edge_weights: Floats) -> Floats:
        """From e^(f/τ) (C, B, B + U) to gradients, in place; own: f/τ of the edges (C, B). Returns the loss, (C,)."""
        scores *= corruption.weights[:, None, :]
        np.put(scores, corruption.masked, 0)
        of_own = np.exp(own)
        total = scores.sum(axis=2) + of_own  # (C, B)
        weights = edge_weights * scores.dtype.type(self.scale)
        scores *= (weights / total)[:, :, None]
        diagonal(scores)[:] = weights * (of_own / total - 1)
        loss: Floats = (edge_weights * (np.log(total) - own)).sum(axis=1)
        return loss


LOSSES: dict[str, type[Logistic] | type[Softmax] | type[CosineContrastive]] = {
    "logistic": Logistic,
    "softmax": Softmax,
    "cosine_contrastive": CosineContrastive,
}


def _greatest(scores: Floats, corruption: Corruption, positive: Floats) -> Floats:
    """The greatest of an edge's own score and its negatives', (C, B). What does not count becomes -inf."""
    np.put(scores, corruption.masked, -np.inf)
    scores.transpose(0, 2, 1)[corruption.weights == 0] = -np.inf
    greatest: Floats = np.maximum(scores.max(axis=2), positive)
    return greatest


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
