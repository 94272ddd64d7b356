"""Losses of the scores of C chunks (see corruption.py), and their gradients with respect to every score.

Scores become gradients in place: the arrays are as large as the caches, and another one would cost more time than the
arithmetic.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twhin_spark.kernels.arrays import Floats, transposed
from twhin_spark.kernels.corruption import Corruption, diagonal
from twhin_spark.kernels.pairwise_losses import PairwiseLoss

SAFE_EXPONENT = 60.0  # e^60 times the number of candidates, and e^-60, are far inside float32


class Loss(Protocol):
    """A loss of the scores of edges and their negatives.

    Its methods take scores times `scale`, replace them in place by the gradients at the scores without that factor, and
    return the loss of each chunk, (C,). `pairwise_losses.PairwiseLoss` implements them for sums over pairs.
    """

    @property
    def scale(self) -> float:
        """The factor by which the caller multiplies scores."""
        ...

    @property
    def counts_negatives(self) -> bool:
        """True if the loss needs `Corruption.counts`."""
        ...

    def one_corruption(
        self, scores: Floats, corruption: Corruption, edge_weights: Floats, bounds: Floats, measure: bool
    ) -> Floats | None:
        """Replace the scores of one corruption by gradients.

        Parameters
        ----------
        scores
            Edges by candidates, (C, B, B + U).
        corruption
            The candidates.
        edge_weights
            (C, B).
        bounds
            An upper bound of the absolute values of each chunk's scores, (C,).
        measure
            If false, the loss is not needed, and None may be returned if computing it would take long.

        Returns
        -------
        (C,) or None
            The loss of each chunk.
        """
        ...

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
        """Replace the scores of two corruptions that share their in-batch scores by gradients.

        Parameters
        ----------
        scores
            Edges by target candidates, (C, B, B + U). The transposes of the first B columns are the scores of edges by
            in-batch source candidates.
        uniform
            Edges by uniform source candidates, (C, B, U').
        target, source
            The candidates at each end.
        edge_weights, bounds, measure
            As in `one_corruption`.

        Returns
        -------
        (C,) or None
            The loss of each chunk, summed over both corruptions.
        """
        ...


@dataclass(frozen=True)
class Logistic(PairwiseLoss):
    """-w log σ(f) - w Σ_n a_n log σ(-f_n), where a_n is the weight of negative n over the number of negatives.

    With an adversarial temperature α, the total weight of an edge's negatives is divided among them in proportion to
    a_n e^(α f_n), and the gradient takes these weights as constants: Z. Sun et al.: RotatE: Knowledge Graph Embedding
    by Relational Rotation in Complex Space, ICLR 2019, eq. 5.

    Attributes
    ----------
    adversarial_temperature
        α, above 0; None weighs negatives by a_n alone.
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

    The scores f must be cosines. K. Mao et al.: SimpleX: A Simple and Strong Baseline for Collaborative Filtering, CIKM
    2021, eq. 1.

    Attributes
    ----------
    margin
        Negatives with a lower cosine have no loss.
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
    """-w log(e^(f/τ) / (e^(f/τ) + Σ_n a_n e^(f_n/τ))), where a_n is the weight of negative n and τ the temperature.

    Attributes
    ----------
    temperature
        τ, above 0.
    """

    temperature: float = 1.0
    counts_negatives = False

    @property
    def scale(self) -> float:
        return 1 / self.temperature

    def one_corruption(
        self, scores: Floats, corruption: Corruption, edge_weights: Floats, bounds: Floats, measure: bool
    ) -> Floats:
        """Replace scores by gradients, see `Loss.one_corruption`."""
        positive = diagonal(scores).copy()
        safe = bounds < SAFE_EXPONENT
        if not safe.all():  # shifted, each exponential of an edge is at most 1, and one of them is 1
            greatest = _greatest(scores, corruption, positive)
            greatest[safe] = 0  # so that a chunk's bits do not depend on the chunks beside it
            scores -= greatest[:, :, None]
            positive -= greatest
        np.exp(scores, out=scores)
        return self._of_exponentials(scores, positive, corruption, edge_weights)

    def both_corruptions(
        self,
        scores: Floats,
        uniform: Floats,
        target: Corruption,
        source: Corruption,
        edge_weights: Floats,
        bounds: Floats,
        measure: bool,
    ) -> Floats:
        """Replace scores by gradients, see `Loss.both_corruptions`."""
        # The source corruption reads in-batch scores by column. Without a shift, it shares their exponentials, too.
        edges, safe = scores.shape[1], bool((bounds < SAFE_EXPONENT).all())
        positive = diagonal(scores).copy()
        if safe:
            np.exp(scores, out=scores)
            np.exp(uniform, out=uniform)
        # Not `concatenate`: it may keep the transpose's order in memory, which every later pass would pay for.
        by_source = np.empty((*scores.shape[:2], edges + uniform.shape[2]), scores.dtype)  # (C, B, B + U')
        by_source[:, :, :edges] = transposed(scores[:, :, :edges])
        by_source[:, :, edges:] = uniform
        if safe:
            loss = self._of_exponentials(by_source, positive, source, edge_weights)
            loss += self._of_exponentials(scores, positive, target, edge_weights)
        else:
            loss = self.one_corruption(by_source, source, edge_weights, bounds, measure)
            loss += self.one_corruption(scores, target, edge_weights, bounds, measure)
        scores[:, :, :edges] += transposed(by_source[:, :, :edges])
        uniform[:] = by_source[:, :, edges:]
        return loss

    def _of_exponentials(
        self, scores: Floats, positive: Floats, corruption: Corruption, edge_weights: Floats
    ) -> Floats:
        """Replace scores e^(f/τ) (C, B, B + U) by gradients, in place; return the loss, (C,).

        The edges' own f/τ are given as positive, (C, B).
        """
        scores *= corruption.weights[:, None, :]
        np.put(scores, corruption.masked, 0)
        positive_exponential = np.exp(positive)
        total = scores.sum(axis=2) + positive_exponential  # (C, B)
        weights = edge_weights * scores.dtype.type(self.scale)
        scores *= (weights / total)[:, :, None]
        diagonal(scores)[:] = weights * (positive_exponential / total - 1)
        loss: Floats = (edge_weights * (np.log(total) - positive)).sum(axis=1)
        return loss


LOSSES: dict[str, type[Logistic] | type[Softmax] | type[CosineContrastive]] = {
    "logistic": Logistic,
    "softmax": Softmax,
    "cosine_contrastive": CosineContrastive,
}


def _greatest(scores: Floats, corruption: Corruption, positive: Floats) -> Floats:
    """Return the greatest of an edge's positive score and its negatives', (C, B); set all other scores to -inf."""
    np.put(scores, corruption.masked, -np.inf)
    scores.transpose(0, 2, 1)[corruption.weights == 0] = -np.inf
    greatest: Floats = np.maximum(scores.max(axis=2), positive)
    return greatest


def _softplus_sum(halves: Floats, weights: Floats) -> Floats:
    """Return Σ weights · log(1 + e^score) over each chunk, (C,), of halved scores (C, B, N)."""
    softplus = np.abs(halves)
    softplus *= -2
    np.exp(softplus, out=softplus)
    softplus += 1
    np.log(softplus, out=softplus)  # log(1 + e^-|x|), to which max(x, 0) is added
    softplus += 2 * np.maximum(halves, 0)
    softplus *= weights
    total: Floats = softplus.sum(axis=(1, 2))
    return total
