"""What a task holds in memory: two groups of partitions, and edges in rows of that memory. Runs on workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.model import Edges, EntityRows
from twhin_spark.training.bucket_schedule import Pair, Round
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile


class PartitionBuffer:
    """At most two groups of partitions, by type in one array each, the left group's rows before the right one's.

    The arrays are made once, for the largest two groups that the task will hold. The left group ends at a fixed row,
    the middle, and the right one begins there. So any two groups lie side by side, and one is swapped for another
    without a copy.
    """

    def __init__(
        self,
        folder: RunFolder,
        files: Sequence[StateFile],
        types: Sequence[str],
        this: Round,
        walk: Sequence[Pair],
        name: Callable[[int], str],
    ) -> None:
        """files: by partition of the run. name: of the file of a partition that this task writes, its own."""
        self._folder, self._types, self._this, self._name = folder, types, this, name
        self._files = {p: files[p] for group in {g for pair in walk for g in pair} for p in this.partitions_of(group)}
        self._all_rows = np.sum([file.rows for file in files], axis=0)  # (types,)
        self._sides: list[int | None] = [None, None]
        self.written: dict[int, StateFile] = {}  # by partition
        self.read_bytes = self.written_bytes = 0
        sizes = np.array([self._rows(group).sum(axis=0) for group in sorted({g for pair in walk for g in pair})])
        self._middle = sizes.max(axis=0)  # (types,)
        room = self._middle * 2 if len(sizes) > 1 else self._middle
        dim = files[0].dim
        self._memory = [EntityState.empty(rows, dim) for rows in room]

    def evict(self, keep: Pair | None = None) -> None:
        """Writes the groups that are held and not to be kept."""
        for side, group in enumerate(self._sides):
            if group is not None and group not in (keep or ()):
                self._write(side)

    def load(self, pair: Pair) -> None:
        """Reads the groups of the pair that are not held."""
        for group in dict.fromkeys(pair):
            if group not in self._sides:
                self._read(group, self._sides.index(None))

    def entities(self) -> dict[str, EntityRows]:
        """The rows of the held groups, by type; to be trained in place."""
        held = {}
        for k, name in enumerate(self._types):
            left, right = (0 if group is None else self._rows(group)[:, k].sum() for group in self._sides)
            rows = self._memory[k][self._middle[k] - left : self._middle[k] + right]
            share = len(rows.vectors) / max(int(self._all_rows[k]), 1)
            held[name] = EntityRows(rows.vectors, rows.accumulators, share)
        return held

    def first_rows(self) -> dict[int, Integers]:
        """For each held partition the row of `entities()` where it begins, by type (types,)."""
        left = self._sides[0]
        begin = self._middle - (0 if left is None else self._rows(left).sum(axis=0))
        return {
            partition: first - begin
            for side, group in enumerate(self._sides)
            if group is not None
            for partition, first in self._places(side, group)
        }

    def _rows(self, group: int) -> Integers:
        """(partitions of the group, types): how many rows each has."""
        return np.array([self._files[p].rows for p in self._this.partitions_of(group)], dtype=np.int64).reshape(
            -1, len(self._types)
        )

    def _places(self, side: int, group: int) -> list[tuple[int, Integers]]:
        """The partitions of a group, and where in memory each begins (types,)."""
        ends = np.cumsum(self._rows(group), axis=0)  # (partitions, types)
        total = ends[-1] if len(ends) else np.zeros(len(self._types), np.int64)
        start = self._middle if side else self._middle - total
        firsts = start + ends - self._rows(group)
        return list(zip(self._this.partitions_of(group), firsts, strict=True))

    def _state(self, partition: int, first: Integers) -> dict[str, EntityState]:
        rows = self._files[partition].rows
        return {name: self._memory[k][first[k] : first[k] + rows[k]] for k, name in enumerate(self._types)}

    def _read(self, group: int, side: int) -> None:
        for partition, first in self._places(side, group):
            self._folder.read_into(self._state(partition, first), self._files[partition])
            self.read_bytes += self._files[partition].bytes
        self._sides[side] = group

    def _write(self, side: int) -> None:
        group = self._sides[side]
        assert group is not None
        for partition, first in self._places(side, group):
            # A partition that this task has written before is written over: no one else knows the file.
            file = self._folder.write_partition(self._name(partition), self._state(partition, first))
            self._files[partition] = self.written[partition] = file
            self.written_bytes += file.bytes
        self._sides[side] = None


@dataclass(frozen=True)
class Block:
    """A row of `edge_buckets`: arrays of n edges, in rows of their partitions."""

    source_partition: int
    target_partition: int
    source: Integers
    target: Integers
    relation: Integers
    weight: np.ndarray


def edges_of(blocks: deque[Block], this: Round, held: PartitionBuffer, ends: Sequence[tuple[int, int]]) -> Edges:
    """The edges that this round trains of some blocks, in their order, in rows of `held`. Leaves the deque empty.

    ends: the index of the source type and of the target type of each relation by its index.
    """
    first_rows = {partition: first.astype(np.int32) for partition, first in held.first_rows().items()}
    source_type, target_type = np.array(ends, dtype=np.int64).T
    shares = [this.share(block.source_partition, block.target_partition) for block in blocks]
    counts = [len(range(*share.indices(len(block.weight)))) for share, block in zip(shares, blocks, strict=True)]
    total = sum(counts)
    edges = Edges(
        np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.int16), np.empty(total, np.float32)
    )
    begin = 0
    for share, count in zip(shares, counts, strict=True):
        block = blocks.popleft()  # its memory goes as soon as its edges are copied
        own = slice(begin, begin + count)
        relation = block.relation[share]
        edges.relation[own] = relation
        edges.weight[own] = block.weight[share]
        np.add(block.source[share], first_rows[block.source_partition][source_type[relation]], out=edges.source[own])
        np.add(block.target[share], first_rows[block.target_partition][target_type[relation]], out=edges.target[own])
        begin += count
    return edges
