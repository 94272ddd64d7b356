"""Spark functions of representations. Arrow passes columns to the kernels as they are, without a Python object a row.

Spark's own `vector_inner_product` and `vector_cosine_similarity` are faster, but add up in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql.pandas.functions import arrow_udf

from twhin_spark.sql.column_scores import Through, score_columns, score_through

Function: TypeAlias = Callable[..., Column]


def measure_function(measure: str, relation: Through | None = None) -> Function:
    """The score of two columns of representations, the first one seen through the relation where one is given."""

    def score(x: pa.Array, y: pa.Array) -> pa.Array:
        return score_columns(measure, x, y, relation)

    return _doubles(score)


def through_function() -> Function:
    """The model's own score of (relation, source, target), a relation being a struct as `score_through` takes it."""

    def score(relation: pa.Array, source: pa.Array, target: pa.Array) -> pa.Array:
        return score_through(relation, source, target)

    return _doubles(score)


def _doubles(score: Callable[..., pa.Array]) -> Function:
    function: Function = arrow_udf(score, "double")  # type: ignore[call-overload]
    return function
