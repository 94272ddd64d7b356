"""Sampling of edges by relation, so that rare relations are trained often enough, and frequent ones not too often."""

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.model import Edges


def sample_edges(edges: Edges, times: Floats, rng: np.random.Generator) -> Edges:
    """Repeat each edge as often as its relation says.

    Parameters
    ----------
    edges
        n edges.
    times
        For each relation number, how often a pass trains an edge, (relations,): at 2.5, each edge is repeated twice,
        and a random half of them a third time. If all are 1, the edges are returned unchanged, and no random number
        is drawn.
    rng
        Generator that draws the fractions.
    """
    if (times == 1).all():
        return edges
    whole, chance = np.divmod(times, 1)
    copies = whole.astype(np.int32)[edges.relation]  # (n,)
    copies += rng.random(len(copies), dtype=np.float32) < chance.astype(np.float32)[edges.relation]
    index = np.repeat(np.arange(len(copies), dtype=np.int32), copies)
    return Edges(edges.source[index], edges.target[index], edges.relation[index], edges.weight[index])
