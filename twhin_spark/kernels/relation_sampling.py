"""How often a pass trains an edge: once, or as often as its relation says, so that rare relations are not drowned."""

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.model import Edges


def sample_edges(edges: Edges, times: Floats, rng: np.random.Generator) -> Edges:
    """Each edge as often as times (relations,) says of its relation: 2.5 is twice, and once more for a random half.

    Where that is once for all, the edges are as they were, and no random number is drawn.
    """
    if (times == 1).all():
        return edges
    whole, chance = np.divmod(times, 1)
    copies = whole.astype(np.int32)[edges.relation]
    copies += rng.random(len(copies), dtype=np.float32) < chance.astype(np.float32)[edges.relation]
    place = np.repeat(np.arange(len(copies), dtype=np.int32), copies)
    return Edges(edges.source[place], edges.target[place], edges.relation[place], edges.weight[place])
