"""The entities of a version as files, one for each type and partition, in the order that breaks ties.

Within a partition entities are ordered by key (the hash of type and id), then by id. Equal keys share a partition,
so key and place order all entities of a type in the same way for any number of partitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from twhin_spark.errors import InputError
from twhin_spark.evaluation.known_positives import EdgeBlock, unpack_blocks
from twhin_spark.evaluation.scratch import Arrays, Scratch
from twhin_spark.graph.entity_location import positions_in
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.retrieval.resolved_query import Asked, condition, measured

_LARGEST = 1e15  # number in a vector; the scores of larger ones come near the end of float32


@dataclass(frozen=True)
class Known:
    """Training edges (e,) from some sources, ordered by the partition of the target.

    source: index of the source. partition, row: place of the target in the graph. relation: by number.
    """

    source: Integers
    partition: Integers
    row: Integers
    relation: Integers


@dataclass(frozen=True)
class Layout:
    """How many entities of each type are in each partition."""

    partitions: int
    counts: Mapping[str, NDArray[np.int64]]

    def first(self, entity_type: str, partition: int) -> int:
        """Place of a partition's first entity among all of its type."""
        return int(self.counts[entity_type][:partition].sum())

    def total(self, entity_type: str) -> int:
        return int(self.counts[entity_type].sum())


@dataclass(frozen=True)
class Files:
    """Where the entities are kept. Used on driver and workers."""

    scratch: Scratch

    def vectors(self, entity_type: str, partition: int) -> Floats:
        """As published: float32 (n, dim)."""
        return self.scratch.read(f"vectors/{entity_type}/{partition}")["vectors"]

    def measured(self, entity_type: str, measure: str, partition: int) -> Floats:
        """As targets of a measure: float32 (n, dim), in fixed point."""
        return self.scratch.read(f"{measure}/{entity_type}/{partition}")["vectors"]

    def order(self, entity_type: str, partition: int) -> Arrays:
        """key, int64 (n,), and row, int32 (n,): the entity's row in the graph."""
        return self.scratch.read(f"order/{entity_type}/{partition}")

    def ids(self, entity_type: str, partition: int) -> pa.Array:
        """The ids (n,), as a string array."""
        found = self.scratch.read(f"ids/{entity_type}/{partition}")
        buffers = [None, pa.py_buffer(found["offsets"]), pa.py_buffer(found["bytes"])]
        return pa.Array.from_buffers(pa.large_string(), len(found["offsets"]) - 1, buffers)

    def allowed(self, query: Asked, end: str, partition: int) -> NDArray[np.intp]:
        """Which entities of a partition, by index in their file, may be a query's sources (targets)."""
        return np.flatnonzero(self.scratch.read(f"{end}/{query.name}/{partition}")["allowed"])

    def known(self, query: Asked, partition: int) -> Known:
        """The training edges that a query excludes or is engaged in, from the sources of one partition."""
        return Known(**self.scratch.read(f"known/{query.name}/{partition}"))

    def write(self, queries: Sequence[Asked], partition: int, entities: pa.Table, blocks: pa.Table) -> pa.Table:
        """Writes a partition's files; returns of each type the number of entities, and of vectors that are no use."""
        edges = list(unpack_blocks(blocks))
        rows: dict[str, Integers] = {}
        unsound: dict[str, int] = {}
        for name in sorted({end for query in queries for end in (query.source, query.target)}):
            mine = entities.filter(pc.equal(entities["entity_type"], name))
            mine = mine.sort_by([("entity_key", "ascending"), ("entity_id", "ascending")]).combine_chunks()
            rows[name] = mine["row"].to_numpy()
            unsound[name] = self._write_type(queries, partition, name, mine)
        for query in queries:
            if wanted := sorted({*query.exclude, *(query.engaged if query.method == "mixture" else ())}):
                known = _known(edges, rows[query.source], wanted)
                self.scratch.write(f"known/{query.name}/{partition}", **known)
        return pa.table(
            {
                "partition": pa.array([partition] * len(rows), pa.int32()),
                "entity_type": pa.array(list(rows), pa.string()),
                "entities": pa.array([len(mine) for mine in rows.values()], pa.int64()),
                "unsound": pa.array(list(unsound.values()), pa.int64()),
            }
        )

    def _write_type(self, queries: Sequence[Asked], partition: int, name: str, mine: pa.Table) -> int:
        """Returns how many vectors are not finite, or too long for float32."""
        vectors = _vectors(mine)
        self.scratch.write(f"vectors/{name}/{partition}", vectors=vectors)
        for measure in sorted({query.measure for query in queries if query.target == name}):
            self.scratch.write(f"{measure}/{name}/{partition}", vectors=measured(measure, vectors))
        key = mine["entity_key"].to_numpy()
        self.scratch.write(f"order/{name}/{partition}", key=key, row=mine["row"].to_numpy())
        texts = mine["entity_id"].cast(pa.large_binary()).to_pylist()
        offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        self.scratch.write(f"ids/{name}/{partition}", offsets=offsets, bytes=np.frombuffer(b"".join(texts), np.uint8))
        for query in queries:
            for end, kind in (("sources", query.source), ("targets", query.target)):
                if kind == name:
                    allowed = mine[condition(query, end)].to_numpy().astype(bool)
                    self.scratch.write(f"{end}/{query.name}/{partition}", allowed=allowed)
        return int(np.count_nonzero(~(np.abs(vectors).max(axis=1, initial=0) <= _LARGEST)))


def write_files(
    entities: DataFrame, buckets: DataFrame, files: Files, queries: Sequence[Asked], partitions: int
) -> Layout:
    """Writes the files of all partitions, on workers; `entities` is what `read_entities` returns.

    Raises InputError where a vector is not finite.
    """

    def write(left: pa.Table, right: pa.Table) -> pa.Table:
        partition = (left["partition"] if len(left) else right["source_partition"])[0].as_py()
        return files.write(queries, partition, left, right)

    cogroups = entities.groupBy("partition").cogroup(buckets.groupBy("source_partition"))
    types = sorted({end for query in queries for end in (query.source, query.target)})
    counts = {name: np.zeros(partitions, np.int64) for name in types}
    schema = "partition INT, entity_type STRING, entities BIGINT, unsound BIGINT"
    for row in cogroups.applyInArrow(write, schema).collect():
        if row["unsound"]:
            found = f"{row['unsound']:,} {row['entity_type']} vectors with NaN, infinity or numbers above {_LARGEST:g}"
            raise InputError(f"embeddings: found {found}; publish a sound version")
        counts[row["entity_type"]][row["partition"]] = row["entities"]
    return Layout(partitions, counts)


def filled(layout: Layout, entity_type: str) -> Iterator[int]:
    """The partitions that have entities of a type, in order."""
    yield from np.flatnonzero(layout.counts[entity_type]).tolist()


def _vectors(entities: pa.Table) -> Floats:
    values = entities["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors: Floats = values.astype(np.float32, copy=False).reshape(len(entities), -1 if len(entities) else 1)
    return vectors


def _known(blocks: Sequence[EdgeBlock], rows: Integers, relations: Sequence[int]) -> Arrays:
    by_row = np.argsort(rows, kind="stable")
    parts: list[tuple[Integers, ...]] = [(np.zeros(0, np.int32),) * 4]
    for block in blocks:
        mine = np.isin(block.relation, relations)
        at = positions_in(block.source[mine], rows[by_row])
        there = at >= 0
        target = np.full(int(there.sum()), block.target_partition, np.int32)
        parts.append((by_row[at[there]], target, block.target[mine][there], block.relation[mine][there]))
    source, partition, row, relation = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((row, source, partition))
    return {
        "source": source[order], "partition": partition[order], "row": row[order], "relation": relation[order],
    }  # fmt: skip
