"""Regularization: a penalty on the vectors of an edge's ends and on the parameters of its relation.

Every edge pays it, so that entities with many edges are penalised as often as they are trained: the weighted norms of
T. Lacroix, N. Usunier, G. Obozinski: Canonical Tensor Decomposition for Knowledge Base Completion, ICML 2018.
"""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats


@dataclass(frozen=True)
class Penalty:
    """w · (entities · (Σ|s|^p + Σ|t|^p) + relations · Σ|θ|^p) for an edge of weight w with ends s, t and parameters θ.

    Attributes
    ----------
    power
        p of the formula: 2 (L2) or 3 (N3).
    entities, relations
        Factors of the formula, 0 or more.
    """

    power: int
    entities: float
    relations: float

    def add_ends(self, vectors: Floats, weights: Floats, gradients: Floats) -> Floats:
        """Add the penalty's gradient at the vectors of one end of the edges to the gradients, in place.

        Parameters
        ----------
        vectors
            The edges' entities, (C, B, dim).
        weights
            The edges' weights, (C, B).
        gradients
            (C, B, dim).

        Returns
        -------
        (C,)
            The penalty of each chunk.
        """
        return self._add(vectors, weights * weights.dtype.type(self.entities), gradients)

    def add_relations(self, parameters: Floats, weights: Floats, gradients: Floats) -> Floats:
        """Add the penalty's gradient at the chunks' parameters (C, k) to the gradients (C, k), as `add_ends` does."""
        total = weights.sum(axis=1, keepdims=True) * weights.dtype.type(self.relations)
        return self._add(parameters[:, None, :], total, gradients[:, None, :])

    def _add(self, values: Floats, strength: Floats, gradients: Floats) -> Floats:
        """Add the gradient at values (C, n, k), penalised with a strength (C, n) each, to the gradients (C, n, k)."""
        slope = values * strength[:, :, None]
        for _ in range(self.power - 2):
            slope *= np.abs(values)  # |x|^(p-1), with the sign of x
        penalty: Floats = np.einsum("cnk,cnk->c", slope, values)
        slope *= self.power
        gradients += slope
        return penalty
