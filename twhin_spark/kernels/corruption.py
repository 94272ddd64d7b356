"""Corruptions of edges: the candidates that one end of an edge is replaced by, and views of their scores.

A chunk has B edges. Each edge is scored against B + U candidates: first the entities at that end of the chunk's edges,
so that the positive scores are on the diagonal of the scores (C, B, B + U), then U uniform negatives.
"""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass(frozen=True)
class Corruption:
    """The candidates of one corruption of C chunks.

    Attributes
    ----------
    weights
        The weight of each candidate as a negative, (C, B + U), 0 or more.
    masked
        Flat positions in (C, B, B + U) of candidates that are no negatives, because they equal the edge's own entity.
    counts
        The number of negatives of each edge, (C, B), or None if the loss does not need it.
    """

    weights: Floats
    masked: Integers
    counts: Integers | None


def diagonal(scores: Floats) -> Floats:
    """Return the positive scores (C, B) of scores (C, B, B + U), as a view that can be written to."""
    positive: Floats = np.einsum("cbb->cb", scores[:, :, : scores.shape[1]])
    return positive
