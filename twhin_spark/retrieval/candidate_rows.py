"""From what the queries found to the rows of `candidates`. Runs on workers, over files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.rank_fusion import Fused, Ranked, fuse
from twhin_spark.retrieval.candidate_task import Finder
from twhin_spark.retrieval.entity_files import Files, Layout, filled
from twhin_spark.retrieval.resolved_query import Asked, Merged

SCHEMA = (
    "query STRING, source_type STRING, source_id STRING, candidate_type STRING, candidate_id STRING, rank INT, "
    "score DOUBLE, tags ARRAY<STRUCT<query: STRING, method: STRING, rank: INT>>"
)
_ROWS_IN_BATCH = 65_536


@dataclass(frozen=True)
class Rows:
    """Makes the rows of a unit, query by query, then those of the blends."""

    files: Files
    layout: Layout
    queries: Sequence[Asked]
    blends: Sequence[Merged]
    cuts: Mapping[str, Sequence[int]]

    def of(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        ids = {}
        for kind in sorted({end for query in self.queries for end in (query.source, query.target)}):
            ids[kind] = pa.concat_arrays(
                [pa.array([], pa.large_string()), *(self.files.ids(kind, part) for part in filled(self.layout, kind))]
            )
        for unit in units:
            for query in self.queries:
                if unit < len(self.cuts[query.name]) - 1:
                    yield from self._of_query(query, unit, ids)
            for blend in self.blends:
                if unit < len(self.cuts[next(iter(blend.weights))]) - 1:
                    yield from self._of_blend(blend, unit, ids)

    def _of_query(self, query: Asked, unit: int, ids: Mapping[str, pa.Array]) -> Iterator[pa.RecordBatch]:
        ranked, score = self._ranked(query, unit)
        none = np.arange(len(score) + 1)
        fused = Fused(
            ranked.source, ranked.target, ranked.rank, score, none, np.zeros(len(score), np.int64), ranked.rank
        )
        yield from _batches(query.name, query, [query], fused, ids)

    def _of_blend(self, blend: Merged, unit: int, ids: Mapping[str, pa.Array]) -> Iterator[pa.RecordBatch]:
        queries = [query for name in blend.weights for query in self.queries if query.name == name]
        lists = [self._ranked(query, unit)[0] for query in queries]
        key = np.concatenate(
            [np.zeros(0, np.int64)]
            + [self.files.order(queries[0].target, part)["key"] for part in filled(self.layout, queries[0].target)]
        )
        fused = fuse(lists, list(blend.weights.values()), blend.constant, blend.k, key)
        yield from _batches(blend.name, queries[0], queries, fused, ids)

    def _ranked(self, query: Asked, unit: int) -> tuple[Ranked, NDArray[np.float64]]:
        """What a query found for a unit's sources, by source, then rank; and the scores."""
        found = self.files.scratch.read(f"found/{query.name}/{unit}")
        places = Finder(self.files, self.layout, query, self.cuts[query.name]).source_places(unit)
        source, column = np.nonzero(found["places"] >= 0)
        ranked = Ranked(places[source], found["places"][source, column], column + 1)
        return ranked, found["scores"][source, column]


def _batches(
    name: str, ends: Asked, queries: Sequence[Asked], fused: Fused, ids: Mapping[str, pa.Array]
) -> Iterator[pa.RecordBatch]:
    names, methods = (pa.array([getattr(query, field) for query in queries]) for field in ("name", "method"))
    for begin in range(0, len(fused.source), _ROWS_IN_BATCH):
        part = slice(begin, begin + _ROWS_IN_BATCH)
        rows = len(fused.source[part])
        starts = fused.starts[begin : begin + rows + 1]
        every = slice(int(starts[0]), int(starts[-1]))
        repeated = partial(pa.repeat, size=rows)
        lists = pa.array(fused.lists[every])
        tags = pa.StructArray.from_arrays(
            [names.take(lists), methods.take(lists), _int32(fused.ranks[every])], ["query", "method", "rank"]
        )
        yield pa.RecordBatch.from_pydict(
            {
                "query": repeated(name),
                "source_type": repeated(ends.source),
                "source_id": ids[ends.source].take(pa.array(fused.source[part])).cast(pa.string()),
                "candidate_type": repeated(ends.target),
                "candidate_id": ids[ends.target].take(pa.array(fused.target[part])).cast(pa.string()),
                "rank": _int32(fused.rank[part]),
                "score": pa.array(fused.score[part]),
                "tags": pa.ListArray.from_arrays(_int32(starts - starts[0]), tags),
            }
        )


def _int32(values: Integers) -> pa.Array:
    return pa.array(values.astype(np.int32))
