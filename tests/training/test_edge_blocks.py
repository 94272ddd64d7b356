"""Rows of `edge_buckets` that become pieces of edges: however they are batched, no edge is lost or moved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twhin_spark.graph.packing import DTYPES
from twhin_spark.training.workers import edge_blocks

Row = tuple[int, int, int, int]  # position, source and target partition, edges


def _table(rows: list[Row], kind: pa.DataType) -> pa.RecordBatch:
    """Return the rows, whose edges are numbered through in all arrays."""
    begins = np.cumsum([0, *(row[3] for row in rows)])
    arrays = {
        name: pa.array([np.arange(a, a + row[3]).astype(dtype).tobytes() for a, row in zip(begins, rows)], kind)  # noqa: B905
        for name, dtype in DTYPES.items()
    }
    numbers = zip(("position", "source_partition", "target_partition", "edges"), zip(*rows), strict=True)  # noqa: B905
    return pa.record_batch({**{name: pa.array(column, pa.int64()) for name, column in numbers}, **arrays})


def _batches(batch: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
    for begin in range(0, batch.num_rows, size):
        yield batch.slice(begin, size)


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4), st.integers(1, 9)), min_size=1),
    size=st.integers(1, 7),
    piece=st.sampled_from([1, 5, 100]),
    kind=st.sampled_from([pa.binary(), pa.large_binary()]),
)
def test_pieces_hold_the_edges_of_each_position_in_order(
    rows: list[Row], size: int, piece: int, kind: pa.DataType
) -> None:
    rows = sorted(rows)
    expected: dict[int, list[tuple[int, int, int]]] = {}
    numbers = iter(range(1000))
    for position, source, target, edges in rows:
        expected.setdefault(position, []).extend((source, target, next(numbers)) for _ in range(edges))
    found: dict[int, list[tuple[int, int, int]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge_blocks, "_PIECE_EDGES", piece)
        for position, pieces in edge_blocks.blocks_by_position(_batches(_table(rows, kind), size)):
            assert position not in found
            found[position] = []
            for blocks in pieces:
                ends = (np.repeat(end, blocks.counts) for end in (blocks.source_partition, blocks.target_partition))
                found[position] += zip(*(end.tolist() for end in ends), blocks.source.tolist(), strict=True)
                for name, dtype in DTYPES.items():
                    assert (getattr(blocks, name) == blocks.source.astype(dtype)).all()
    assert found == expected
