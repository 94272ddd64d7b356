"""LogQ correction: the expected weight of an entity among a chunk's negatives, by which sampled negatives are divided.

A softmax over all entities is too expensive to compute. Dividing each sampled negative by the number of times it is
expected makes the sum over the sample an unbiased estimate of the sum over all entities, if those that are not loaded
are like the others: Y. Bengio, J.-S. Senécal: Adaptive Importance Sampling to Accelerate Training of a Neural
Probabilistic Language Model, IEEE Transactions on Neural Networks 2008; X. Yi et al.: Sampling-Bias-Corrected Neural
Modeling for Large Corpus Item Recommendations, RecSys 2019.

In-batch negatives come by popularity, uniform negatives alike for all entities. The expectation is that of both
together (the balance heuristic of E. Veach and L. Guibas, SIGGRAPH 1995), so that neither kind can make an entity count
many times over.
"""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass(frozen=True)
class EndpointShares:
    """The part of each relation's edges, by weight, that has each entity at one end.

    Attributes
    ----------
    entities
        Number of loaded entities of the type at that end; rows are below it.
    keys
        relation · entities + row, int64 (m,), distinct and ascending.
    shares
        float32 (m,), with the sum 1 for each relation.
    """

    entities: int
    keys: Integers
    shares: Floats

    @classmethod
    def from_edges(cls, relation: Integers, rows: Integers, weights: Floats, entities: int) -> "EndpointShares":
        """Sum the weights of edges by relation and entity.

        Parameters
        ----------
        relation, rows, weights
            Relation number, row at the end in question and weight of each edge, (n,).
        entities
            Number of loaded entities of the type at that end.
        """
        keys, key_of = np.unique(relation.astype(np.int64) * entities + rows, return_inverse=True)
        totals = np.bincount(relation, weights)  # (relations,)
        return cls(entities, keys, (np.bincount(key_of, weights) / totals[keys // entities]).astype(np.float32))

    def lookup(self, relation: Integers, rows: Integers) -> Floats:
        """Return the shares of rows (C, k) in relations (C,), float32 (C, k); 0 for an entity without an edge."""
        keys = relation.astype(np.int64)[:, None] * self.entities + rows
        index = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[index] == keys, self.shares[index], np.float32(0))


def expected_negatives(
    shares: Floats,
    crossing: Floats | None = None,
    *,
    edges: Integers,
    in_batch_weight: float,
    uniform: int | Integers,
    uniform_weight: float,
    entities: int,
    loaded: float = 1.0,
) -> Floats:
    """Return the weight with which entities are expected among the negatives of C chunks.

    Parameters
    ----------
    shares
        Shares of the entities at the corrupted end, (C, k), from `EndpointShares.lookup`.
    crossing
        Shares of the same entities at the other end, (C, k), if the entities there are negatives, too.
    edges
        Number of edges of each chunk, (C,).
    in_batch_weight, uniform_weight
        As in LossSettings.
    uniform
        Number of uniform negatives of a chunk, or of each chunk (C,).
    entities
        Number of loaded entities of the type, from which uniform negatives are drawn.
    loaded
        The part of all entities of the type that is loaded. Which part it is changes, so that an entity can occur only
        in this part of the chunks. Without this factor, a softmax would be over fewer entities the more groups there
        are.

    Returns
    -------
    float32 (C, k)
        The expected weights, above 0.

    Examples
    --------
    A chunk has 100 edges and draws 50 of 1,000 entities, and both weights are 1. An entity at the end of 5% of the
    edges is expected 100 · 0.05 + 50 / 1,000 = 5.05 times, so each time that it is sampled it counts 1 / 5.05. An
    entity without an edge is expected 0.05 times, and counts 20 when it is sampled. In the sum over many chunks, both
    count as one entity for each chunk.
    """
    expected = in_batch_weight * edges[:, None] * shares + uniform_weight * np.asarray(uniform)[..., None] / entities
    if crossing is not None:
        expected = expected + uniform_weight * edges[:, None] * crossing
    if loaded < 1:
        expected = expected * loaded
    # It is 0 only if the negative's own weight is 0, too.
    return np.maximum(expected.astype(np.float32), np.finfo(np.float32).tiny)
