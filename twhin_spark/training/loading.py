"""What a task holds in memory: some partitions side by side, and edges in rows of that memory. Runs on workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.model import Edges, EntityRows
from twhin_spark.training.schedule import Round
from twhin_spark.training.state import EntityState, RunFolder, StateFile


@dataclass
class LoadedPartitions:
    """Partitions in one contiguous array for each type; `first_row[type][i]` is where the i-th partition begins."""

    partitions: list[int]
    entities: dict[str, EntityRows]
    first_row: dict[str, Integers]  # (len(partitions) + 1,)

    @classmethod
    def read(
        cls, folder: RunFolder, partitions: list[int], files: Sequence[StateFile], types: Sequence[str]
    ) -> LoadedPartitions:
        """Reads partitions from their committed files, of which `files` has one for each partition of the run."""
        states = [folder.read_partition(files[partition], types) for partition in partitions]
        entities: dict[str, EntityRows] = {}
        first_row: dict[str, Integers] = {}
        for name in types:
            rows = [len(state[name].vectors) for state in states]
            first_row[name] = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
            entities[name] = EntityRows(
                np.concatenate([state[name].vectors for state in states]),
                np.concatenate([state[name].accumulators for state in states]),
            )
        return cls(partitions, entities, first_row)

    def write(self, folder: RunFolder, suffix: str) -> dict[int, StateFile]:
        """Writes every partition to a new file, `suffix` being the attempt's own; returns the files by partition."""
        files = {}
        for i, partition in enumerate(self.partitions):
            state = {}
            for name, rows in self.entities.items():
                own = slice(self.first_row[name][i], self.first_row[name][i + 1])
                state[name] = EntityState(rows.vectors[own], rows.accumulators[own])
            files[partition] = folder.write_partition(f"p{partition:05d}-{suffix}", state)
        return files


def edges_of(
    blocks: Iterable[pa.RecordBatch], this: Round, loaded: LoadedPartitions, ends: Sequence[tuple[str, str]]
) -> Edges:
    """The edges that this round trains, from rows of `edge_buckets`, in an order that Spark has no part in.

    `ends` has the source and target type of each relation by its index.
    """
    place = {partition: i for i, partition in enumerate(loaded.partitions)}
    rows = [row for batch in blocks for row in batch.to_pylist()]
    rows.sort(key=lambda row: (row["source_partition"], row["target_partition"], row["block"]))
    first_source = np.stack([loaded.first_row[source] for source, _ in ends])  # (relations, partitions + 1)
    first_target = np.stack([loaded.first_row[target] for _, target in ends])
    none = np.empty(0, np.int32)
    parts: list[tuple[Integers, Integers, Integers, Floats]] = [(none, none, none, np.empty(0, np.float32))]
    for row in rows:
        share = this.share(row["source_partition"], row["target_partition"])
        relation = np.frombuffer(row["relation"], "<i2")[share]
        source = np.frombuffer(row["source"], "<i4")[share]
        target = np.frombuffer(row["target"], "<i4")[share]
        source = source + first_source[relation, place[row["source_partition"]]]
        target = target + first_target[relation, place[row["target_partition"]]]
        parts.append((source, target, relation, np.frombuffer(row["weight"], "<f4")[share]))
    source, target, relation, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Edges(source.astype(np.int32), target.astype(np.int32), relation.astype(np.int16), weight)
