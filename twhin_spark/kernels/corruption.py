"""What losses are of: the candidates of one corruption, and the scores (C, B, B + U) that the edges have with them.

A chunk has B edges. Each edge is scored against B + U candidates: the ends of the chunk's edges, so that the edges' own
scores are on the diagonal, then U uniform negatives.
"""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass(frozen=True)
class Corruption:
    """The candidates of one corruption.

    weights: (C, B + U), what each candidate counts as a negative, 0 or more.
    masked: flat positions in (C, B, B + U) of what is no negative, as the candidate is the edge's own entity.
    counts: (C, B), how many negatives each edge has; None where the loss does not ask.
    """

    weights: Floats
    masked: Integers
    counts: Integers | None


def diagonal(scores: Floats) -> Floats:
    """A view of the edges' own scores, (C, B)."""
    own: Floats = np.einsum("cbb->cb", scores[:, :, : scores.shape[1]])
    return own


def transposed(scores: Floats) -> Floats:
    """The transposes of in-batch scores (C, B, B), a view."""
    return scores.transpose(0, 2, 1)
