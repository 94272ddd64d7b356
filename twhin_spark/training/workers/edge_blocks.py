"""Edges of a task: from rows of `edge_buckets` in Arrow batches to edges in rows of the partition buffer.

Used on workers.
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


@dataclass(frozen=True)
class Block:
    """A row of `edge_buckets`: arrays of n edges, whose ends are rows of their partitions."""

    source_partition: int
    target_partition: int
    source: Integers
    target: Integers
    relation: Integers
    weight: np.ndarray


def blocks_by_position(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, deque[Block]]]:
    """Yield each position with its blocks, as views of the batches. The rows must be ordered by position."""
    for position, blocks in itertools.groupby(_blocks(batches), key=lambda placed: placed[0]):
        yield position, deque(block for _, block in blocks)


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Block]]:
    for batch in batches:
        for k in range(batch.num_rows):
            position, source_partition, target_partition = (
                batch[name][k].as_py() for name in ("position", "source_partition", "target_partition")
            )
            arrays = {name: np.frombuffer(batch[name][k].as_buffer(), dtype) for name, dtype in DTYPES.items()}
            yield position, Block(source_partition, target_partition, **arrays)


def edges_in_buffer(blocks: deque[Block], buffer: PartitionBuffer, relation_ends: Sequence[tuple[int, int]]) -> Edges:
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
    first_rows = {partition: first.astype(np.int32) for partition, first in buffer.first_rows().items()}
    source_type, target_type = np.array(relation_ends, dtype=np.int64).T
    counts = [len(block.weight) for block in blocks]
    total = sum(counts)
    edges = Edges(
        np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.int16), np.empty(total, np.float32)
    )
    begin = 0
    for count in counts:
        block = blocks.popleft()  # its memory is freed as soon as its edges are copied
        rows = slice(begin, begin + count)
        relation = block.relation
        edges.relation[rows] = relation
        edges.weight[rows] = block.weight
        np.add(block.source, first_rows[block.source_partition][source_type[relation]], out=edges.source[rows])
        np.add(block.target, first_rows[block.target_partition][target_type[relation]], out=edges.target[rows])
        begin += count
    return edges
