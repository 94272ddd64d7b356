"""Blocks hold exactly the edges, in one order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from twhin_spark.graph.packing import BLOCK_SCHEMA, DTYPES, pack, unpack


def _edges(seed: int, count: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    keys = rng.choice(50 * 50 * 4, size=count, replace=False)
    return pa.table(
        {
            "source": pa.array(keys // 200, pa.int32()),
            "target": pa.array(keys // 4 % 50, pa.int32()),
            "relation": pa.array(keys % 4, pa.int16()),
            "weight": pa.array(rng.random(count), pa.float32()),
        }
    )


def _rows(table: pa.Table) -> list[tuple[float, ...]]:
    return list(zip(*[table[name].to_pylist() for name in ("relation", "source", "target", "weight")], strict=True))


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 1_000])
def test_what_is_unpacked_is_what_was_packed_in_order(count: int) -> None:
    edges = _edges(count, count)
    blocks = pack((3, 5), edges, block_edges=10)
    assert blocks.schema == BLOCK_SCHEMA
    assert blocks["block"].to_pylist() == list(range(-(-count // 10)))
    assert blocks["edges"].to_pylist()[:-1] == [10] * (len(blocks) - 1)
    assert sum(blocks["edges"].to_pylist()) == count
    assert set(blocks["source_partition"].to_pylist()) == {3}
    assert set(blocks["target_partition"].to_pylist()) == {5}
    arrays = list(unpack(blocks))
    assert all(array[name].dtype == np.dtype(dtype) for array in arrays for name, dtype in DTYPES.items())
    whole = pa.table({name: np.concatenate([array[name] for array in arrays]) for name in DTYPES})
    assert _rows(whole) == sorted(_rows(edges))


def test_the_order_of_delivery_changes_no_byte() -> None:
    edges = _edges(0, 500)
    shuffled = edges.take(np.random.default_rng(1).permutation(500))
    chunked = pa.concat_tables([shuffled.slice(0, 123), shuffled.slice(123)])
    assert pack((0, 0), chunked, 64).equals(pack((0, 0), edges, 64))


def test_rows_too_large_for_one_sort_key_are_in_order() -> None:
    small = _edges(0, 500)
    last = pa.table({"source": [2**31 - 1], "target": [2**31 - 1], "relation": [2**15 - 1], "weight": [1.0]})
    packed = pack((0, 0), pa.concat_tables([last.cast(small.schema), small]), 1_000)
    (whole,) = unpack(packed)
    rows = _rows(pa.table(whole))
    assert rows == [*sorted(_rows(small)), *_rows(last)]
