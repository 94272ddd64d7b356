"""Approximate neighbours: an index that the job `candidates` has built proposes entities, exact scores decide."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, Scores
from twhin_spark.representations.ann_index import AnnIndex, search_on_one_thread
from twhin_spark.serving.exact_neighbours import ExactNeighbours
from twhin_spark.serving.id_index import NOT_FOUND
from twhin_spark.serving.stored_version import StoredType


class ApproximateNeighbours:
    """Scores the entities that an index proposes, or every entity if it proposes too few.

    The index belongs to a model version. The store may be of another publish of the same model version, with other
    rows. So entities are found by their ids, and proposed entities that the store does not have are dropped.
    """

    method = "ann"

    def __init__(
        self, index: AnnIndex, ids: pa.Array, stored: StoredType, exact: ExactNeighbours, settings: AnnConfig
    ) -> None:
        self._index = index
        self._ids = ids
        self._stored = stored
        self._exact = exact
        self._settings = settings

    def search(self, query: Floats, k: int, measure: str, deadline: float) -> tuple[NDArray[np.int64], Scores]:
        """Return rows and scores as `NeighbourIndex.search` does."""
        if time.monotonic() > deadline:
            raise TimeoutError
        search_on_one_thread()
        single = query.astype(np.float32)[None]
        numbers = self._index.search(single, k * self._settings.refine, self._settings.probes)[0]
        rows = self._stored.index.find(self._ids.take(pa.array(numbers[numbers >= 0])).to_pylist())
        rows = rows[rows != NOT_FOUND]
        if len(rows) < min(k, len(self._stored)):
            return self._exact.search(query, k, measure, deadline)
        scores = DENSE_MEASURES[measure](query[None], self._exact.rows.take(rows))
        order = np.lexsort((rows, -scores))[:k]
        return rows[order], scores[order]
