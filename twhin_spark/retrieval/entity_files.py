"""Files of a version's entities, one for each type and partition, in the order that breaks ties.

Within a partition, entities are ordered by key (the hash of type and id), then by id. An entity's position is its
number among all entities of its type, partition by partition. Equal keys are in one partition, so the order by key and
then position is the same for any number of partitions. For example, three users with (key, id) = (5, b), (5, a) and
(2, c), of which key 5 is in partition 0 and key 2 in partition 1, have positions a = 0, b = 1 and c = 2. If their
scores are equal, they are ranked c, a, b: by key, then position. With one partition, the positions are c = 0, a = 1
and b = 2, and the ranks are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from twhin_spark.retrieval.resolved_query import (
    LISTED,
    ResolvedQuery,
    comparable_vectors,
    condition_column,
    entity_types,
)

_LARGEST = 1e15  # largest number in a vector; scores of larger ones come near the largest float32


@dataclass(frozen=True)
class KnownEdges:
    """Training edges (e,) of some sources, ordered by the partition of the target.

    Attributes
    ----------
    source
        Index of the source.
    partition, row
        Location of the target in the graph.
    relation
        Number of the relation.
    """

    source: Integers
    partition: Integers
    row: Integers
    relation: Integers


@dataclass(frozen=True)
class EntityLayout:
    """The number of entities of each type in each partition."""

    partitions: int
    counts: Mapping[str, NDArray[np.int64]]

    def first_position(self, entity_type: str, partition: int) -> int:
        """Return the position of a partition's first entity."""
        return int(self.counts[entity_type][:partition].sum())

    def total(self, entity_type: str) -> int:
        """Return the number of entities of a type."""
        return int(self.counts[entity_type].sum())

    def filled(self, entity_type: str) -> list[int]:
        """Return the partitions that have entities of a type, in order."""
        partitions: list[int] = np.flatnonzero(self.counts[entity_type]).tolist()
        return partitions


@dataclass(frozen=True)
class EntityFiles:
    """Reads and writes the files. Used on driver and workers."""

    scratch: Scratch

    def vectors(self, entity_type: str, partition: int) -> Floats:
        """Return the vectors as published: float32 (n, dim)."""
        return self.scratch.read(f"vectors/{entity_type}/{partition}")["vectors"]

    def target_vectors(self, entity_type: str, measure: str, partition: int) -> Floats:
        """Return the vectors as targets of a measure: float32 (n, dim), in fixed point."""
        return self.scratch.read(f"{measure}/{entity_type}/{partition}")["vectors"]

    def order(self, entity_type: str, partition: int) -> Arrays:
        """Return key, int64 (n,), and row, int32 (n,), which is the entity's row in the graph."""
        return self.scratch.read(f"order/{entity_type}/{partition}")

    def ids(self, entity_type: str, partition: int) -> pa.Array:
        """Return the ids (n,), as large strings."""
        arrays = self.scratch.read(f"ids/{entity_type}/{partition}")
        buffers = [None, pa.py_buffer(arrays["offsets"]), pa.py_buffer(arrays["bytes"])]
        return pa.Array.from_buffers(pa.large_string(), len(arrays["offsets"]) - 1, buffers)

    def all_ids(self, layout: EntityLayout, entity_type: str) -> pa.Array:
        """Return the ids of all entities of a type, by position."""
        ids = (self.ids(entity_type, partition) for partition in layout.filled(entity_type))
        return pa.concat_arrays([pa.array([], pa.large_string()), *ids])

    def allowed(self, query: ResolvedQuery, end: str, partition: int) -> NDArray[np.intp]:
        """Return the indices of the entities in a partition's file that may be the query's `sources` (`targets`)."""
        return np.flatnonzero(self.scratch.read(f"{end}/{query.name}/{partition}")["allowed"])

    def communities(self, query: ResolvedQuery, end: str, entity_type: str, partition: int) -> Arrays:
        """Return the representations of a partition's entities by communities, as `sources` (`targets`) of a query.

        Entity i has the entries starts[i] to starts[i + 1] - 1, with starts int64 (n + 1,): community, int64, weight,
        float32, and listed, which is true if the entity is in the community's list.
        """
        family = query.families[("sources", "targets").index(end)]
        return self.scratch.read(f"communities/{family}/{entity_type}/{partition}")

    def known_edges(self, query: ResolvedQuery, partition: int) -> KnownEdges:
        """Return the training edges of a partition's sources that a query excludes or is engaged in."""
        return KnownEdges(**self.scratch.read(f"known/{query.name}/{partition}"))

    def write(self, queries: Sequence[ResolvedQuery], partition: int, entities: pa.Table, blocks: pa.Table) -> pa.Table:
        """Write a partition's files.

        Returns
        -------
        pyarrow.Table
            For each entity type: partition, entity_type, entities (their number) and invalid (the number of vectors
            that are not finite or too long for float32).
        """
        edges = list(unpack_blocks(blocks))
        rows: dict[str, Integers] = {}
        invalid: dict[str, int] = {}
        for name in entity_types(queries):
            members = entities.filter(pc.equal(entities["entity_type"], name))
            members = members.sort_by([("entity_key", "ascending"), ("entity_id", "ascending")]).combine_chunks()
            rows[name] = members["row"].to_numpy()
            invalid[name] = self._write_type(queries, partition, name, members)
        for query in queries:
            if relations := sorted({*query.exclude, *(query.engaged if query.method == "mixture" else ())}):
                known = _known_edges(edges, rows[query.source], relations)
                self.scratch.write(f"known/{query.name}/{partition}", **known)
        return pa.table(
            {
                "partition": pa.array([partition] * len(rows), pa.int32()),
                "entity_type": pa.array(list(rows), pa.string()),
                "entities": pa.array([len(members) for members in rows.values()], pa.int64()),
                "invalid": pa.array(list(invalid.values()), pa.int64()),
            }
        )

    def _write_type(self, queries: Sequence[ResolvedQuery], partition: int, name: str, members: pa.Table) -> int:
        """Write the files of one type; return the number of invalid vectors."""
        vectors = _vectors(members)
        self.scratch.write(f"vectors/{name}/{partition}", vectors=vectors)
        for measure in sorted({query.measure for query in queries if query.target == name}):
            self.scratch.write(f"{measure}/{name}/{partition}", vectors=comparable_vectors(measure, vectors))
        for family in sorted({family for query in queries for family in query.families}):
            arrays = _community_entries(members[family].combine_chunks(), members[LISTED].combine_chunks())
            self.scratch.write(f"communities/{family}/{name}/{partition}", **arrays)
        key = members["entity_key"].to_numpy()
        self.scratch.write(f"order/{name}/{partition}", key=key, row=members["row"].to_numpy())
        ids = members["entity_id"].cast(pa.large_binary()).to_pylist()
        offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
        self.scratch.write(f"ids/{name}/{partition}", offsets=offsets, bytes=np.frombuffer(b"".join(ids), np.uint8))
        for query in queries:
            for end, entity_type, _ in query.ends:
                if entity_type == name:
                    allowed = members[condition_column(query, end)].to_numpy().astype(bool)
                    self.scratch.write(f"{end}/{query.name}/{partition}", allowed=allowed)
        return int(np.count_nonzero(~(np.abs(vectors).max(axis=1, initial=0) <= _LARGEST)))


def write_files(
    entities: DataFrame, buckets: DataFrame, files: EntityFiles, queries: Sequence[ResolvedQuery], partitions: int
) -> EntityLayout:
    """Write the files of all partitions, on workers.

    Parameters
    ----------
    entities
        The result of `read_entities`.
    buckets
        The table `edge_buckets`.
    files
        Files to write.
    queries
        The queries that will read them.
    partitions
        Number of partitions of the graph.

    Raises
    ------
    InputError
        A vector is not finite, or too long for float32.
    """

    def write(left: pa.Table, right: pa.Table) -> pa.Table:
        partition = (left["partition"] if len(left) else right["source_partition"])[0].as_py()
        return files.write(queries, partition, left, right)

    cogroups = entities.groupBy("partition").cogroup(buckets.groupBy("source_partition"))
    counts = {name: np.zeros(partitions, np.int64) for name in entity_types(queries)}
    schema = "partition INT, entity_type STRING, entities BIGINT, invalid BIGINT"
    for row in cogroups.applyInArrow(write, schema).collect():
        if row["invalid"]:
            vectors = f"{row['invalid']:,} {row['entity_type']} vectors"
            problem = f"{vectors} have NaN, infinity or numbers above {_LARGEST:g}"
            raise InputError(f"embeddings: {problem}; publish a version without them")
        counts[row["entity_type"]][row["partition"]] = row["entities"]
    return EntityLayout(partitions, counts)


def _vectors(entities: pa.Table) -> Floats:
    values = entities["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors: Floats = values.astype(np.float32, copy=False).reshape(len(entities), -1 if len(entities) else 1)
    return vectors


def _community_entries(embeddings: pa.MapArray, listed: pa.ListArray) -> Arrays:
    """Return starts, community, weight and listed, as `EntityFiles.communities` does; a null is an empty map."""
    offsets = embeddings.offsets.to_numpy().astype(np.int64)  # Spark gives a null no entries
    entries = slice(offsets[0], offsets[-1])
    community = embeddings.keys[entries].to_numpy()
    weight = embeddings.items[entries].to_numpy()
    names = listed.flatten().to_numpy()
    lengths = pc.list_value_length(listed).fill_null(0).to_numpy()
    ids = 1 + max(community.max(initial=0), names.max(initial=0))  # a row and an id make one number
    rows = np.repeat(np.arange(len(embeddings)), np.diff(offsets))
    pairs = np.repeat(np.arange(len(listed)), lengths) * ids + names
    starts = offsets - offsets[0]
    return {
        "starts": starts, "community": community, "weight": weight, "listed": np.isin(rows * ids + community, pairs),
    }  # fmt: skip


def _known_edges(blocks: Sequence[EdgeBlock], rows: Integers, relations: Sequence[int]) -> Arrays:
    """Return the KnownEdges of some relations from the sources with these graph rows (n,), as arrays by name."""
    by_row = np.argsort(rows, kind="stable")
    parts: list[tuple[Integers, ...]] = [(np.zeros(0, np.int32),) * 4]
    for block in blocks:
        selected = np.isin(block.relation, relations)
        position = positions_in(block.source[selected], rows[by_row])
        stored = position >= 0
        partition = np.full(int(stored.sum()), block.target_partition, np.int32)
        target, relation = block.target[selected][stored], block.relation[selected][stored]
        parts.append((by_row[position[stored]], partition, target, relation))
    source, partition, row, relation = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((row, source, partition))
    return {
        "source": source[order], "partition": partition[order], "row": row[order], "relation": relation[order],
    }  # fmt: skip
