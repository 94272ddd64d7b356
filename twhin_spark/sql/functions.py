"""Spark functions of representations. Arrow passes columns to the kernels without a Python object for each row.

Spark's own `vector_inner_product` and `vector_cosine_similarity` are faster, but they sum in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql.pandas.functions import arrow_udf

from twhin_spark.sql.column_scores import RelationTransform, score_by_relation, score_columns

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


def _doubles(score: Callable[..., pa.Array]) -> Function:
    function: Function = arrow_udf(score, "double")  # type: ignore[call-overload]
    return function
