"""An index finds the vectors of one entity type that score highest; the exact one scores them all."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, Scores
from twhin_spark.serving.dense import DenseRows

_BLOCK_ROWS = 32_768
_MARGIN = 16  # so many more are scored again in float64, as the order of float32 sums is not the last word


class NeighbourIndex(Protocol):
    """What finds neighbours among the entities of one type in one version: exactly, or approximately and faster.

    method: exact or ann, as an answer names it.
    """

    method: str

    def search(self, query: Floats, k: int, measure: str, deadline: float) -> tuple[NDArray[np.int64], Scores]:
        """The k rows with the highest scores under the query (dim,), and the scores, float64, highest first.

        measure: cosine or dot. Equal scores come in the order of rows. Raises TimeoutError after deadline, a time of
        `time.monotonic`.
        """
        ...


class ExactNeighbours:
    """Scores every vector, block by block."""

    method = "exact"

    def __init__(self, rows: DenseRows) -> None:
        self.rows = rows

    def search(self, query: Floats, k: int, measure: str, deadline: float) -> tuple[NDArray[np.int64], Scores]:
        vectors, norms = self.rows.vectors, self.rows.norms
        single = query.astype(np.float32)
        best_rows, best_scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
        for begin in range(0, len(vectors), _BLOCK_ROWS):
            if time.monotonic() > deadline:
                raise TimeoutError
            block = slice(begin, begin + _BLOCK_ROWS)
            scores = vectors[block] @ single  # (block,)
            if measure == "cosine":  # up to the query's norm, which changes no order
                scores = np.divide(scores, norms[block], out=np.zeros_like(scores), where=norms[block] > 0)
            top = _highest(scores, k + _MARGIN)
            best_rows = np.concatenate([best_rows, begin + top])
            best_scores = np.concatenate([best_scores, scores[top]])
            kept = _highest(best_scores, k + _MARGIN)
            best_rows, best_scores = best_rows[kept], best_scores[kept]
        exact = DENSE_MEASURES[measure](query[None], self.rows.take(best_rows))
        order = np.lexsort((best_rows, -exact))[:k]
        return best_rows[order], exact[order]


def _highest(scores: Floats, count: int) -> NDArray[np.intp]:
    """The positions of the highest scores, in no order."""
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - count)[-count:]
