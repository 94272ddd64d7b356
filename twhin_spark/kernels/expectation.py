"""How much of an entity a chunk is expected to hold as a negative: what sampled negatives are divided by (logQ).

A softmax over all entities is far too wide to compute. Dividing each sampled negative by its expected number makes the
sum over the sample an unbiased estimate of the sum over all loaded entities: Y. Bengio, J.-S. Senécal, Adaptive
importance sampling to accelerate training of a neural probabilistic language model, 2008; X. Yi et al., Sampling-bias-
corrected neural modeling for large corpus item recommendations, RecSys 2019. In-batch negatives come by popularity and
uniform ones alike for all; what counts is the expectation of the two together (the balance heuristic of E. Veach and
L. Guibas, 1995), so that neither kind can make an entity count many times over.
"""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass(frozen=True)
class Shares:
    """What part of a relation's edges, by weight, have each entity at one end.

    rows: (m,), distinct and ascending. shares: float64 (m,), with the sum 1.
    """

    rows: Integers
    shares: Floats

    @classmethod
    def of(cls, rows: Integers, weights: Floats) -> "Shares":
        """From the rows (n,) at that end of the edges, n >= 1, and the edges' weights (n,)."""
        distinct, place = np.unique(rows, return_inverse=True)
        sums = np.bincount(place, weights)
        return cls(distinct, sums / sums.sum())

    def find(self, rows: Integers) -> Floats:
        """The shares of rows (k,), 0 for those that no edge has: float64 (k,)."""
        place = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[place] == rows, self.shares[place], 0.0)


def expected_negatives(
    shares: Floats, *, edges: int, in_batch_weight: float, uniform: int, uniform_weight: float, entities: int
) -> Floats:
    """The expected weight, among a chunk's negatives, of entities with these shares (k,): float32 (k,).

    The chunk has `edges` edges and draws `uniform` of the loaded `entities`; the weights are those of LossSettings.
    """
    expected = (in_batch_weight * edges * shares + uniform_weight * uniform / entities).astype(np.float32)
    return np.maximum(expected, np.finfo(np.float32).tiny)  # it is 0 only where the negative's own weight is, too
