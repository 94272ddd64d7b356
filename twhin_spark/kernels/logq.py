"""How much of an entity a chunk is expected to hold as a negative: what sampled negatives are divided by (logQ).

A softmax over all entities is far too wide to compute. Dividing each sampled negative by its expected number makes the
sum over the sample an unbiased estimate of the sum over all entities, those that are not loaded being like the others:
Y. Bengio, J.-S. Senécal, Adaptive importance sampling to accelerate training of a neural probabilistic language model,
2008; X. Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019. In-batch
negatives come by popularity and uniform ones alike for all; what counts is the expectation of the two together (the
balance heuristic of E. Veach and L. Guibas, 1995), so that neither kind can make an entity count many times over.
"""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass(frozen=True)
class EndpointShares:
    """What part of each relation's edges, by weight, have each entity at one end.

    entities: how many there are; rows are below it.
    keys: int64 (m,), relation · entities + row, distinct and ascending.
    shares: float32 (m,), with the sum 1 for each relation.
    """

    entities: int
    keys: Integers
    shares: Floats

    @classmethod
    def from_edges(cls, relation: Integers, rows: Integers, weights: Floats, entities: int) -> "EndpointShares":
        """From the relations (n,) of edges, the rows (n,) at that end, and the edges' weights (n,)."""
        keys, place = np.unique(relation.astype(np.int64) * entities + rows, return_inverse=True)
        totals = np.bincount(relation, weights)  # (relations,)
        return cls(entities, keys, (np.bincount(place, weights) / totals[keys // entities]).astype(np.float32))

    def lookup(self, relation: Integers, rows: Integers) -> Floats:
        """The shares of rows (C, k) in relations (C,), 0 for those that no edge has: float32 (C, k)."""
        keys = relation.astype(np.int64)[:, None] * self.entities + rows
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.shares[place], np.float32(0))


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
    """The expected weight, among a chunk's negatives, of entities with these shares (C, k): float32 (C, k).

    The chunks have `edges` edges (C,) and draw `uniform` of the loaded `entities`, a number or one for each chunk (C,);
    the weights are LossSettings'. crossing: the shares at the edges' other end, where those entities are negatives too.
    loaded: the part of all entities that is loaded. Which part it is changes, so an entity is expected in so many of
        the chunks alone; without it a softmax would be over the fewer entities, the more groups there are.
    """
    expected = in_batch_weight * edges[:, None] * shares + uniform_weight * np.asarray(uniform)[..., None] / entities
    if crossing is not None:
        expected = expected + uniform_weight * edges[:, None] * crossing
    if loaded < 1:
        expected = expected * loaded
    # It is 0 only where the negative's own weight is, too.
    return np.maximum(expected.astype(np.float32), np.finfo(np.float32).tiny)
