"""Packing of the edges of a bucket into blocks, and unpacking. Runs on workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

# The arrays of a block: little-endian, one element for each edge.
DTYPES = {"source": "<i4", "target": "<i4", "relation": "<i2", "weight": "<f4"}

BLOCK_SCHEMA = pa.schema(
    [
        ("source_partition", pa.int32()),
        ("target_partition", pa.int32()),
        ("block", pa.int32()),
        ("edges", pa.int32()),
        *[(name, pa.binary()) for name in DTYPES],
    ]
)


def pack(bucket: tuple[int, int], edges: pa.Table, block_edges: int) -> pa.Table:
    """Return one row for each block of at most `block_edges` edges, sorted by (relation, source, target).

    bucket: source and target partition.
    edges: columns source, target, relation, weight; no two edges with the same (relation, source, target), so that the
        order, and with it every byte, is the same however Spark delivers them.
    """
    columns = {name: edges[name].to_numpy().astype(dtype) for name, dtype in DTYPES.items()}
    order = _order(columns["relation"], columns["source"], columns["target"])
    blocks = [order[start : start + block_edges] for start in range(0, order.size, block_edges)]
    return pa.table(
        [
            pa.array([bucket[0]] * len(blocks), pa.int32()),
            pa.array([bucket[1]] * len(blocks), pa.int32()),
            pa.array(range(len(blocks)), pa.int32()),
            pa.array([block.size for block in blocks], pa.int32()),
            *[pa.array([array[block].tobytes() for block in blocks], pa.binary()) for array in columns.values()],
        ],
        schema=BLOCK_SCHEMA,
    )


def _order(relation: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the positions that sort by (relation, source, target); no two edges are equal, no number is negative."""
    sources, targets = (int(rows.max(initial=0)) + 1 for rows in (source, target))
    if (int(relation.max(initial=0)) + 1) * sources * targets >= 2**63:
        return np.lexsort((target, source, relation))
    key = relation.astype(np.int64)
    for rows, count in ((source, sources), (target, targets)):
        key *= count
        key += rows
    return np.argsort(key)  # one number an edge: several times as fast as sorting by three


def unpack(blocks: pa.Table) -> Iterator[dict[str, np.ndarray]]:
    """Yield the arrays of each block by name."""
    for row in blocks.select(list(DTYPES)).to_pylist():
        yield arrays_of(row)


def arrays_of(block: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of a row of `edge_buckets` by name, those of DTYPES that the row has."""
    return {name: np.frombuffer(block[name], dtype) for name, dtype in DTYPES.items() if name in block}
