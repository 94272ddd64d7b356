"""Sums of products of two versions' vectors over shared entities, from which alignments and linear maps are fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.kernels.arrays import Floats
from twhin_spark.versions.vector_columns import ENTITY, vector_array

_BUCKETS = 32  # of entities; the sums of each are added in their order, so that the bits do not vary
_ROWS_AT_ONCE = 8192
_SCHEMA = "bucket INT, gram ARRAY<DOUBLE>, cross ARRAY<DOUBLE>, squares DOUBLE, entities BIGINT"


@dataclass(frozen=True)
class CrossProducts:
    """Sums over the entities that have a vector a in one version and b in another.

    Attributes
    ----------
    gram, cross
        Σ aᵀa and Σ aᵀb, float64 (dim, dim) and (dim, dim of b).
    squares
        Σ|b|².
    entities
        Number of shared entities.
    """

    gram: Floats
    cross: Floats
    squares: float
    entities: int

    def turned(self, matrix: Floats) -> CrossProducts:
        """Return the sums for a @ matrix in place of a."""
        return CrossProducts(matrix.T @ self.gram @ matrix, matrix.T @ self.cross, self.squares, self.entities)

    def with_pairs(self, a: Floats, b: Floats) -> CrossProducts:
        """Return the sums with further vectors a and b, (n, dim) each."""
        a, b = a.astype(np.float64), b.astype(np.float64)
        squares = self.squares + float(np.sum(b * b))
        return CrossProducts(self.gram + a.T @ a, self.cross + a.T @ b, squares, self.entities)


def cross_products(a: DataFrame, b: DataFrame) -> CrossProducts | None:
    """Return the sums over the entities of both; None if there are none.

    Parameters
    ----------
    a, b
        entity_type, entity_id and embedding. All vectors of `a` have one length, and all of `b`.
    """
    pairs = shared_vectors(a, b)
    bucket = F.pmod(F.xxhash64(*ENTITY), F.lit(_BUCKETS)).cast("int").alias("bucket")
    rows = pairs.groupBy(bucket).applyInArrow(_sums, _SCHEMA).orderBy("bucket").collect()
    if not rows:
        return None
    entities = sum(row["entities"] for row in rows)
    squares = sum(row["squares"] for row in rows)
    gram = np.sum([np.array(row["gram"]) for row in rows], axis=0)
    dim = round(len(gram) ** 0.5)
    cross = np.sum([np.array(row["cross"]) for row in rows], axis=0)
    return CrossProducts(gram.reshape(dim, dim), cross.reshape(dim, -1), squares, entities)


def shared_vectors(a: DataFrame, b: DataFrame) -> DataFrame:
    """Return entity_type, entity_id, a and b of the entities that have a vector in both."""
    first = a.select(*ENTITY, F.col("embedding").alias("a"))
    return first.join(b.select(*ENTITY, F.col("embedding").alias("b")), ENTITY)


def _sums(key: tuple[pa.Scalar, ...], pairs: pa.Table) -> pa.Table:
    """Return the sums of one bucket's entities. Runs on workers."""
    pairs = pairs.sort_by([(name, "ascending") for name in ENTITY])
    gram: Floats | float = 0.0
    cross: Floats | float = 0.0
    squares = 0.0
    for begin in range(0, len(pairs), _ROWS_AT_ONCE):
        part = pairs.slice(begin, _ROWS_AT_ONCE)
        a, b = (vector_array(part[name]).astype(np.float64) for name in ("a", "b"))
        gram, cross, squares = gram + a.T @ a, cross + a.T @ b, squares + float(np.sum(b * b))
    return pa.table(
        {
            "bucket": pa.array([key[0].as_py()], pa.int32()),
            "gram": [np.ravel(gram)],
            "cross": [np.ravel(cross)],
            "squares": [squares],
            "entities": [len(pairs)],
        }
    )
