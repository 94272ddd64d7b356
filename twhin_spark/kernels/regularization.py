"""A penalty on the size of what an edge is made of: its ends' vectors and its relation's parameters.

Paid by every edge, so that what has many edges is held as much as it is pulled: the weighted norms of Lacroix, Usunier
and Obozinski: Canonical Tensor Decomposition for Knowledge Base Completion (2018).
"""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats


@dataclass(frozen=True)
class Penalty:
    """w · (entities · (Σ|s|^p + Σ|t|^p) + relations · Σ|θ|^p) for an edge of weight w; power p: 2 (L2) or 3 (N3)."""

    power: int
    entities: float
    relations: float

    def add_ends(self, vectors: Floats, weights: Floats, gradients: Floats) -> Floats:
        """Adds the gradient at edges' own vectors (C, B, dim) to theirs; returns the penalty of each chunk, (C,)."""
        return self._add(vectors, weights * weights.dtype.type(self.entities), gradients)

    def add_relations(self, parameters: Floats, weights: Floats, gradients: Floats) -> Floats:
        """The same for chunks' parameters (C, k), which all edges of a chunk share."""
        total = weights.sum(axis=1, keepdims=True) * weights.dtype.type(self.relations)
        return self._add(parameters[:, None, :], total, gradients[:, None, :])

    def _add(self, values: Floats, strength: Floats, gradients: Floats) -> Floats:
        """Of values (C, n, k) with a strength each (C, n); changes the gradients, which are as the values."""
        slope = values * strength[:, :, None]
        for _ in range(self.power - 2):
            slope *= np.abs(values)  # |x|^(p-1), with the sign of x
        penalty: Floats = np.einsum("cnk,cnk->c", slope, values)
        slope *= self.power
        gradients += slope
        return penalty
