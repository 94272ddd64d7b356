"""Scores of two Arrow columns of representations, by the kernels that the service scores with. Runs on workers.

A dense column holds lists of numbers, a sparse one maps of community to weight. A null on either side gives a null.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from twhin_spark.errors import InputError
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES, Scores, Sparse, through

Through: TypeAlias = tuple[str, Floats]
"""The operator of a relation and its parameters."""


def score_columns(measure: str, x: pa.Array, y: pa.Array, relation: Through | None = None) -> pa.Array:
    """The score of each row of two columns (n,), as doubles (n,); x is seen through the relation where one is given.

    Raises InputError where the columns cannot be compared by the measure.
    """
    known = pc.and_(x.is_valid(), y.is_valid())
    mask = known.to_numpy(zero_copy_only=False)
    scores = np.full(len(x), np.nan)
    if mask.any():
        scores[mask] = _scores(measure, x.filter(known), y.filter(known), relation)
    return pa.array(scores, mask=~mask)


def score_through(relations: pa.StructArray, x: pa.Array, y: pa.Array) -> pa.Array:
    """The model's own score of each row, through a relation of its own.

    relations: structs of relation, operator, parameters and comparator.
    """
    names = pc.struct_field(relations, "relation")
    scores = pa.nulls(len(x), pa.float64())
    for name in pc.unique(names).drop_null().to_pylist():
        own = pc.equal(names, name).fill_null(False)
        first = relations.filter(own)[0].as_py()
        relation = (first["operator"], np.array(first["parameters"], np.float32))
        found = score_columns(first["comparator"], x.filter(own), y.filter(own), relation)
        scores = pc.replace_with_mask(scores, own, found)
    return scores


def vectors(column: pa.Array) -> Floats:
    """A column of lists of numbers, all as long and none null: (n, dim), float32 where the lists are, else float64."""
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise InputError(f"found vectors of {lengths[0]} and of {lengths[1]} numbers in a column; allowed: one length")
    values = column.flatten()
    if values.type != pa.float32():
        values = values.cast(pa.float64())
    matrix: Floats = values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return matrix


def _scores(measure: str, x: pa.Array, y: pa.Array, relation: Through | None) -> Scores:
    """The scores of rows that are all known."""
    if pa.types.is_map(x.type) and pa.types.is_map(y.type) and relation is None:
        if measure not in SPARSE_MEASURES:
            raise InputError(f"found maps for {measure}; allowed: arrays of numbers")
        return SPARSE_MEASURES[measure](*_sparse(x, y))
    if not (_is_list(x) and _is_list(y)) or measure not in DENSE_MEASURES:
        allowed = "arrays of numbers" if measure in DENSE_MEASURES else "maps of community to weight"
        raise InputError(f"found {x.type} and {y.type} for {measure}; allowed: {allowed}")
    sources, targets = vectors(x), vectors(y)
    if sources.shape != targets.shape:
        found = f"found vectors of {sources.shape[1]} and of {targets.shape[1]} numbers"
        raise InputError(f"{found} for {measure}; allowed: vectors of one length")
    return DENSE_MEASURES[measure](through(*relation, sources) if relation else sources, targets)


def _is_list(column: pa.Array) -> bool:
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def _sparse(x: pa.MapArray, y: pa.MapArray) -> tuple[Sparse, Sparse]:
    """Two columns of maps as CSR (n, communities), whose columns are the communities of both."""
    keys = pa.concat_arrays([_entries(column, "keys") for column in (x, y)]).dictionary_encode()
    codes = keys.indices.to_numpy()
    split = len(_entries(x, "keys"))
    shape = (len(x), len(keys.dictionary))

    def matrix(column: pa.MapArray, columns: np.ndarray) -> Sparse:
        weights = _entries(column, "items").cast(pa.float64()).to_numpy(zero_copy_only=False)
        offsets = column.offsets.to_numpy()
        return csr_array((weights, columns, offsets - offsets[0]), shape=shape)

    return matrix(x, codes[:split]), matrix(y, codes[split:])


def _entries(column: pa.MapArray, part: str) -> pa.Array:
    """The keys or items of the column's own rows, which may be a part of a longer array."""
    offsets = column.offsets
    values: pa.Array = getattr(column, part)
    return values[offsets[0].as_py() : offsets[-1].as_py()]
