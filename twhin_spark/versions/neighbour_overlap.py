"""Overlap of nearest neighbours in two versions, on a sample of entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from twhin_spark.kernels.arrays import Floats
from twhin_spark.versions.vector_columns import vector_array

OVERLAP = "neighbour_overlap@10"
SAMPLE = 200  # entities of a type, those with the least hashes
_NEIGHBOURS = 10
_SCHEMA = "entity_type STRING, side STRING, query INT, entity_id STRING, score BIGINT"
_UNIT = 1e9  # cosines are compared as whole numbers of 1e-9

Sample = dict[str, tuple[list[str], Floats, Floats]]  # by type: ids, and unit vectors in both versions


def neighbour_overlap(pairs: DataFrame) -> dict[str | None, list[float]]:
    """Return for each entity of the sample the share of its ten nearest neighbours that both versions agree on.

    Parameters
    ----------
    pairs
        entity_type, entity_id, a and b: the vectors of entities that are in both versions. Neighbours are the entities
        of the same type with the greatest cosines.

    Returns
    -------
    dict
        Shares by entity type, and of all types under None. Types of one entity have none.
    """
    sample = _sample(pairs)
    found = pairs.select("entity_type", "entity_id", "a", "b").mapInArrow(_searcher(sample), _SCHEMA)
    nearest = Window.partitionBy("entity_type", "side", "query").orderBy(F.desc("score"), "entity_id")
    ranked = found.withColumn("place", F.row_number().over(nearest)).where(F.col("place") <= _NEIGHBOURS)
    lists: dict[tuple[str, int], dict[str, set[str]]] = {}
    for row in ranked.collect():
        sides = lists.setdefault((row["entity_type"], row["query"]), {"a": set(), "b": set()})
        sides[row["side"]].add(row["entity_id"])
    shares: dict[str | None, list[float]] = {}
    for (kind, _), sides in sorted(lists.items()):
        share = len(sides["a"] & sides["b"]) / max(len(sides["a"]), 1)
        shares.setdefault(None, []).append(share)
        shares.setdefault(kind, []).append(share)
    return shares


def _sample(pairs: DataFrame) -> Sample:
    order = Window.partitionBy("entity_type").orderBy(F.xxhash64("entity_type", "entity_id"), "entity_id")
    rows = pairs.withColumn("place", F.row_number().over(order)).where(F.col("place") <= SAMPLE)
    by_type: dict[str, list[tuple[str, list[float], list[float]]]] = {}
    for row in rows.orderBy("entity_type", "place").collect():
        by_type.setdefault(row["entity_type"], []).append((row["entity_id"], row["a"], row["b"]))
    sample: Sample = {}
    for kind, members in by_type.items():
        ids, a, b = zip(*members, strict=True)
        sample[kind] = list(ids), _unit(np.array(a)), _unit(np.array(b))
    return sample


def _searcher(sample: Sample) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def search(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the nearest entities of each batch to each entity of the sample. Runs on workers."""
        for batch in batches:
            rows = pa.Table.from_batches([batch])
            kinds, ids = (rows[name].to_numpy(zero_copy_only=False) for name in ("entity_type", "entity_id"))
            for kind, (queries, *sides) in sample.items():
                members = np.flatnonzero(kinds == kind)
                if not len(members):
                    continue
                of_kind, position = rows.take(members), {name: i for i, name in enumerate(ids[members])}
                own = [position.get(query, -1) for query in queries]
                for side, unit in zip("ab", sides, strict=True):
                    scores = np.rint(unit @ _unit(vector_array(of_kind[side])).T * _UNIT).astype(np.int64)
                    for query, itself in enumerate(own):
                        if itself >= 0:
                            scores[query, itself] = -2 * int(_UNIT)  # below all cosines
                    yield _best(kind, side, scores, ids[members])

    return search


def _best(kind: str, side: str, scores: np.ndarray, ids: np.ndarray) -> pa.RecordBatch:
    """Return the nearest entities to each query; of equal scores those with the least ids."""
    by_id = np.argsort(ids, kind="stable")
    order = by_id[np.argsort(-scores[:, by_id], axis=1, kind="stable")[:, :_NEIGHBOURS]]  # (queries, neighbours)
    query = np.repeat(np.arange(len(scores), dtype=np.int32), order.shape[1])
    chosen = order.ravel()
    values = scores[query, chosen]
    real = values >= -int(_UNIT)  # not the query itself
    count = int(real.sum())
    return pa.record_batch(
        {
            "entity_type": pa.array([kind] * count),
            "side": pa.array([side] * count),
            "query": query[real],
            "entity_id": pa.array(ids[chosen[real]].tolist()),
            "score": values[real],
        }
    )


def _unit(vectors: Floats) -> Floats:
    """Return the rows with length 1, in float64; a row of zeros stays."""
    vectors = vectors.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.where(norms > 0, norms, 1)
    return unit
