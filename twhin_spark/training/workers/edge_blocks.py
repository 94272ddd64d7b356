"""Edges of a task: from rows of `edge_buckets` in Arrow batches to edges in rows of the partition buffer.

A graph with many partitions has many small blocks, so all work is done for many of them at once. Used on workers.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from twhin_spark.graph.packing import DTYPES
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.model import Edges
from twhin_spark.training.workers.partition_buffer import PartitionBuffer

_PIECE_EDGES = 65_536  # of blocks that are unpacked at once: their arrays stay in the CPU's cache


@dataclass(frozen=True)
class Blocks:
    """Consecutive rows of `edge_buckets`: n edges of b blocks.

    source_partition, target_partition, counts: of each block, (b,). source, target: rows of their partitions, (n,).
    relation, weight: (n,).
    """

    source_partition: Integers
    target_partition: Integers
    counts: Integers
    source: Integers
    target: Integers
    relation: Integers
    weight: np.ndarray


def blocks_by_position(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, deque[Blocks]]]:
    """Yield each position with its blocks, as views of the batches. The rows must be ordered by position."""
    for position, blocks in itertools.groupby(_blocks(batches), key=lambda placed: placed[0]):
        yield position, deque(piece for _, piece in blocks)


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Blocks]]:
    for batch in batches:
        position, source, target, counts = (
            batch[name].to_numpy() for name in ("position", "source_partition", "target_partition", "edges")
        )
        arrays = {name: _joined(batch[name], dtype) for name, dtype in DTYPES.items()}
        ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        new = (np.diff(position) != 0) | (np.diff(ends[:-1] // _PIECE_EDGES) != 0)
        cuts = [0, *(np.flatnonzero(new) + 1).tolist(), batch.num_rows]
        for first, last in itertools.pairwise(cuts):
            edges = slice(ends[first], ends[last])
            parts = {name: array[edges] for name, array in arrays.items()}
            yield int(position[first]), Blocks(source[first:last], target[first:last], counts[first:last], **parts)


def _joined(column: pa.Array, dtype: str) -> np.ndarray:
    """Return the content of a binary column, which is consecutive in memory, as one array."""
    _, offsets, content = column.buffers()
    kind = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    begin, end = np.frombuffer(offsets, kind)[[column.offset, column.offset + len(column)]]
    return np.frombuffer(content, np.uint8)[begin:end].view(dtype)


def edges_in_buffer(blocks: deque[Blocks], buffer: PartitionBuffer, relation_ends: Sequence[tuple[int, int]]) -> Edges:
    """Return the edges of some blocks, in their order; empties the deque.

    Parameters
    ----------
    blocks
        Blocks of partitions that are in the buffer.
    buffer
        The ends of the edges are rows of its `entities()`.
    relation_ends
        Of each relation the indices of its source type and of its target type.
    """
    first_rows = buffer.first_rows()
    first_row = np.zeros((max(first_rows) + 1, len(next(iter(first_rows.values())))), np.int32)  # (partition, type)
    for partition, first in first_rows.items():
        first_row[partition] = first
    source_type, target_type = np.array(relation_ends, dtype=np.int64).T
    total = sum(len(piece.weight) for piece in blocks)
    edges = Edges(
        np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.int16), np.empty(total, np.float32)
    )
    begin = 0
    while blocks:
        piece = blocks.popleft()  # its memory is freed as soon as its edges are copied
        rows = slice(begin, begin + len(piece.weight))
        relation = piece.relation
        edges.relation[rows] = relation
        edges.weight[rows] = piece.weight
        source, target = (np.repeat(end, piece.counts) for end in (piece.source_partition, piece.target_partition))
        np.add(piece.source, first_row[source, source_type[relation]], out=edges.source[rows])
        np.add(piece.target, first_row[target, target_type[relation]], out=edges.target[rows])
        begin = rows.stop
    return edges
