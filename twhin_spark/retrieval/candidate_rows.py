"""The rows of the table `candidates`, made from the best candidates of each query. Runs on workers, over files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.rank_fusion import FusedCandidates, RankedCandidates, fuse
from twhin_spark.retrieval.candidate_task import CandidateFinder
from twhin_spark.retrieval.resolved_query import ResolvedBlend, ResolvedQuery

SCHEMA = (
    "query STRING, source_type STRING, source_id STRING, candidate_type STRING, candidate_id STRING, rank INT, "
    "score DOUBLE, tags ARRAY<STRUCT<query: STRING, method: STRING, rank: INT>>"
)
_ROWS_IN_BATCH = 65_536


@dataclass(frozen=True)
class CandidateRows:
    """Makes the rows of units: those of the queries, then those of the blends.

    finders: by query, in the order of the config.
    """

    finders: Mapping[str, CandidateFinder]
    blends: Sequence[ResolvedBlend]

    def batches(self, units: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some units."""
        ids = {}
        for finder in self.finders.values():
            for entity_type in (finder.query.source, finder.query.target):
                if entity_type not in ids:
                    ids[entity_type] = finder.files.all_ids(finder.layout, entity_type)
        for unit in units:
            for finder in self.finders.values():
                if unit < finder.units:
                    yield from self._query_batches(finder, unit, ids)
            for blend in self.blends:
                if unit < self.finders[next(iter(blend.weights))].units:
                    yield from self._blend_batches(blend, unit, ids)

    def _query_batches(
        self, finder: CandidateFinder, unit: int, ids: Mapping[str, pa.Array]
    ) -> Iterator[pa.RecordBatch]:
        ranked, score = _ranked(finder, unit)
        starts = np.arange(len(score) + 1)  # one tag for each row
        fused = FusedCandidates(
            ranked.source, ranked.target, ranked.rank, score, starts, np.zeros(len(score), np.int64), ranked.rank
        )
        yield from _batches(finder.query.name, [finder.query], fused, ids)

    def _blend_batches(self, blend: ResolvedBlend, unit: int, ids: Mapping[str, pa.Array]) -> Iterator[pa.RecordBatch]:
        finders = [self.finders[name] for name in blend.weights]
        files, layout, target = finders[0].files, finders[0].layout, finders[0].query.target
        keys = (files.order(target, partition)["key"] for partition in layout.filled(target))
        key = np.concatenate([np.zeros(0, np.int64), *keys])
        lists = [_ranked(finder, unit)[0] for finder in finders]
        fused = fuse(lists, list(blend.weights.values()), blend.constant, blend.k, key)
        yield from _batches(blend.name, [finder.query for finder in finders], fused, ids)


def _ranked(finder: CandidateFinder, unit: int) -> tuple[RankedCandidates, NDArray[np.float64]]:
    """Read the best candidates of a unit's sources by source, then rank, and their scores."""
    best = finder.files.scratch.read(f"best/{finder.query.name}/{unit}")
    positions = finder.source_positions(unit)
    source, column = np.nonzero(best["positions"] >= 0)
    ranked = RankedCandidates(positions[source], best["positions"][source, column], column + 1)
    return ranked, best["scores"][source, column]


def _batches(
    name: str, queries: Sequence[ResolvedQuery], fused: FusedCandidates, ids: Mapping[str, pa.Array]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query or blend. Its queries share their entity types; a tag names one of them."""
    source_type, target_type = queries[0].source, queries[0].target
    names, methods = (pa.array([getattr(query, field) for query in queries]) for field in ("name", "method"))
    for begin in range(0, len(fused.source), _ROWS_IN_BATCH):
        part = slice(begin, begin + _ROWS_IN_BATCH)
        rows = len(fused.source[part])
        starts = fused.starts[begin : begin + rows + 1]
        tag_range = slice(int(starts[0]), int(starts[-1]))
        repeated = partial(pa.repeat, size=rows)
        lists = pa.array(fused.lists[tag_range])
        tags = pa.StructArray.from_arrays(
            [names.take(lists), methods.take(lists), _int32(fused.ranks[tag_range])], ["query", "method", "rank"]
        )
        yield pa.RecordBatch.from_pydict(
            {
                "query": repeated(name),
                "source_type": repeated(source_type),
                "source_id": ids[source_type].take(pa.array(fused.source[part])).cast(pa.string()),
                "candidate_type": repeated(target_type),
                "candidate_id": ids[target_type].take(pa.array(fused.target[part])).cast(pa.string()),
                "rank": _int32(fused.rank[part]),
                "score": pa.array(fused.score[part]),
                "tags": pa.ListArray.from_arrays(_int32(starts - starts[0]), tags),
            }
        )


def _int32(values: Integers) -> pa.Array:
    return pa.array(values.astype(np.int32))
