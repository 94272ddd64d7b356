"""Columns that identify an entity, and columns of vectors. Used on the driver and on workers."""

from __future__ import annotations

import pyarrow as pa

from twhin_spark.kernels.arrays import Floats

ENTITY = ["entity_type", "entity_id"]


def vector_array(column: pa.ChunkedArray) -> Floats:
    """Return a column of lists of one length as a matrix (n, dim)."""
    values = column.combine_chunks()
    matrix: Floats = values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), -1)
    return matrix
