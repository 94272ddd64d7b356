"""Spark functions of representations. Arrow passes columns to the kernels without a Python object for each row.

Spark's own `vector_inner_product` and `vector_cosine_similarity` are faster, but they sum in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql.pandas.functions import arrow_udf

from twhin_spark.kernels.arrays import Floats
from twhin_spark.sql.column_scores import RelationTransform, score_by_relation, score_columns, vector_matrix

Function: TypeAlias = Callable[..., Column]


def measure_function(measure: str, relation: RelationTransform | None = None) -> Function:
    """Return a function of two columns that scores their rows, after the relation's operator on the first column."""

    def score(x: pa.Array, y: pa.Array) -> pa.Array:
        return score_columns(measure, x, y, relation)

    return _doubles(score)


def relation_function() -> Function:
    """Return a function of (relation, source, target) that scores rows as the model does, by `score_by_relation`."""

    def score(relation: pa.Array, source: pa.Array, target: pa.Array) -> pa.Array:
        return score_by_relation(relation, source, target)

    return _doubles(score)


def map_function(matrix: Floats) -> Function:
    """Return a function of a column of vectors that maps them by a matrix, float64 (dim, dim of the other space)."""

    def mapped(vectors: pa.Array) -> pa.Array:
        present = vectors.drop_null()
        values = np.zeros((len(vectors), matrix.shape[1]), np.float32)
        if len(present):
            values[vectors.is_valid().to_numpy(zero_copy_only=False)] = (
                vector_matrix(present).astype(np.float64) @ matrix
            ).astype(np.float32)
        starts = pa.array(np.arange(len(vectors) + 1, dtype=np.int32) * matrix.shape[1], mask=None)
        return pa.ListArray.from_arrays(starts, values.ravel(), mask=vectors.is_null())

    function: Function = arrow_udf(mapped, "array<float>")  # type: ignore[call-overload]
    return function


def _doubles(score: Callable[..., pa.Array]) -> Function:
    function: Function = arrow_udf(score, "double")  # type: ignore[call-overload]
    return function
