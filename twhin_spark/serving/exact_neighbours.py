"""Exact neighbours: the entities of one type with the highest scores, found by scoring all of them."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, Scores
from twhin_spark.serving.dense import DenseRows
from twhin_spark.serving.sparse import SparseRows

_BLOCK_ROWS = 32_768
_MARGIN = 16  # rows beyond k that are scored again in float64, because float32 sums may swap close scores


class NeighbourIndex(Protocol):
    """A search among the entities of one type in one version, exact or approximate.

    method: `exact` or `ann`, as a response names it.
    """

    method: str

    def search(self, query: Floats, k: int, measure: str, deadline: float) -> tuple[NDArray[np.int64], Scores]:
        """Return the k rows with the highest scores, and their scores in float64, highest first.

        Equal scores are in the order of rows.

        Parameters
        ----------
        query
            Vector that the entities are compared with, (dim,).
        k
            Number of rows.
        measure
            `cosine` or `dot`.
        deadline
            Time of `time.monotonic` at which the search gives up.

        Raises
        ------
        TimeoutError
            The deadline has passed.
        """
        ...


class ExactNeighbours:
    """Scores every vector, block by block.

    A block's scores are float32 products, of which the best k + _MARGIN are kept. These few are scored again in
    float64, and their order is final. For k = 1 and scores 0.50000001 (row 4) and 0.50000002 (row 7), which float32
    cannot distinguish, both are kept, and float64 puts row 7 first.
    """

    method = "exact"

    def __init__(self, rows: DenseRows) -> None:
        self.rows = rows

    def search(self, query: Floats, k: int, measure: str, deadline: float) -> tuple[NDArray[np.int64], Scores]:
        """Return rows and scores as `NeighbourIndex.search` does."""
        vectors, norms = self.rows.vectors, self.rows.norms
        single = query.astype(np.float32)
        best_rows, best_scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
        for begin in range(0, len(vectors), _BLOCK_ROWS):
            if time.monotonic() > deadline:
                raise TimeoutError
            block = slice(begin, begin + _BLOCK_ROWS)
            scores = vectors[block] @ single  # (block,)
            if measure == "cosine":  # without the query's norm, which does not change the order
                scores = np.divide(scores, norms[block], out=np.zeros_like(scores), where=norms[block] > 0)
            top = _highest(scores, k + _MARGIN)
            best_rows = np.concatenate([best_rows, begin + top])
            best_scores = np.concatenate([best_scores, scores[top]])
            kept = _highest(best_scores, k + _MARGIN)
            best_rows, best_scores = best_rows[kept], best_scores[kept]
        exact = DENSE_MEASURES[measure](query[None], self.rows.take(best_rows))
        order = np.lexsort((best_rows, -exact))[:k]
        return best_rows[order], exact[order]


class SparseNeighbours:
    """Scores every sparse representation, block by block, in float64. A query is a vector (communities,)."""

    method = "exact"

    def __init__(self, rows: SparseRows) -> None:
        self.rows = rows

    def search(self, query: Floats, k: int, measure: str, deadline: float) -> tuple[NDArray[np.int64], Scores]:
        """Return rows and scores as `NeighbourIndex.search` does. Rows that share no community are none of them."""
        best_rows, best_scores = np.zeros(0, np.int64), np.zeros(0)
        for begin in range(0, len(self.rows), _BLOCK_ROWS):
            if time.monotonic() > deadline:
                raise TimeoutError
            block = self.rows.block(begin, begin + _BLOCK_ROWS)
            scores = block @ query
            if measure == "cosine":
                norms = np.sqrt(block.multiply(block).sum(axis=1)) * np.linalg.norm(query)
                scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms > 0)
            similar = np.flatnonzero(scores)
            best_rows = np.concatenate([best_rows, begin + similar])
            best_scores = np.concatenate([best_scores, scores[similar]])
            order = np.lexsort((best_rows, -best_scores))[:k]
            best_rows, best_scores = best_rows[order], best_scores[order]
        return best_rows, best_scores


def _highest(scores: Floats, count: int) -> NDArray[np.intp]:
    """Return the indices of the highest scores, in no order."""
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - count)[-count:]
