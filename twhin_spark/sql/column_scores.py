"""Scores of two Arrow columns of representations, by the kernels that the service uses. Runs on workers.

A dense column has lists of numbers, a sparse one maps of community to weight. If either side is null, so is the score.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from twhin_spark.errors import InputError
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES, Scores, Sparse, apply_relation

RelationTransform: TypeAlias = tuple[str, Floats]
"""Operator and parameters of a relation."""


def score_columns(measure: str, x: pa.Array, y: pa.Array, relation: RelationTransform | None = None) -> pa.Array:
    """Return the score of each row of two columns as doubles.

    Parameters
    ----------
    measure
        Name of a dense or sparse measure.
    x, y
        Columns of representations, (n,) each.
    relation
        Relation whose operator is applied to the rows of x; None: plain similarity.

    Returns
    -------
    pyarrow.Array
        Doubles (n,).

    Raises
    ------
    InputError
        The measure cannot compare columns of these types or lengths.
    """
    complete = pc.and_(x.is_valid(), y.is_valid())
    mask = complete.to_numpy(zero_copy_only=False)
    scores = np.full(len(x), np.nan)
    if mask.any():
        scores[mask] = _scores(measure, x.filter(complete), y.filter(complete), relation)
    return pa.array(scores, mask=~mask)


def score_by_relation(relations: pa.StructArray, x: pa.Array, y: pa.Array) -> pa.Array:
    """Return the model's score of each row, for a relation by row.

    Parameters
    ----------
    relations
        Structs of relation, operator, parameters and comparator, (n,).
    x, y
        Columns of vectors, (n,) each.
    """
    names = pc.struct_field(relations, "relation")
    scores = pa.nulls(len(x), pa.float64())
    for name in pc.unique(names).drop_null().to_pylist():
        same = pc.equal(names, name).fill_null(False)
        first = relations.filter(same)[0].as_py()
        relation = (first["operator"], np.array(first["parameters"], np.float32))
        values = score_columns(first["comparator"], x.filter(same), y.filter(same), relation)
        scores = pc.replace_with_mask(scores, same, values)
    return scores


def vector_matrix(column: pa.Array) -> Floats:
    """Return a column of lists, none null, as a matrix (n, dim): float32 if the lists are float32, else float64."""
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise InputError(f"a column has vectors of {lengths[0]} and of {lengths[1]} numbers; all must have one length")
    values = column.flatten()
    if values.type != pa.float32():
        values = values.cast(pa.float64())
    matrix: Floats = values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return matrix


def _scores(measure: str, x: pa.Array, y: pa.Array, relation: RelationTransform | None) -> Scores:
    """Return the scores of rows without nulls."""
    if pa.types.is_map(x.type) and pa.types.is_map(y.type) and relation is None:
        if measure not in SPARSE_MEASURES:
            raise InputError(f"{measure} requires arrays of numbers, not maps")
        return SPARSE_MEASURES[measure](*_sparse(x, y))
    if not (_is_list(x) and _is_list(y)) or measure not in DENSE_MEASURES:
        required = "arrays of numbers" if measure in DENSE_MEASURES else "maps of community to weight"
        raise InputError(f"{measure} requires {required}, not {x.type} and {y.type}")
    sources, targets = vector_matrix(x), vector_matrix(y)
    if sources.shape != targets.shape:
        lengths = f"{sources.shape[1]} and of {targets.shape[1]} numbers"
        raise InputError(f"{measure} requires vectors of one length, not of {lengths}")
    return DENSE_MEASURES[measure](apply_relation(*relation, sources) if relation else sources, targets)


def _is_list(column: pa.Array) -> bool:
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def _sparse(x: pa.MapArray, y: pa.MapArray) -> tuple[Sparse, Sparse]:
    """Return two columns of maps as CSR (n, communities), with the communities of both as columns."""
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
    """Return the keys or items of the column's rows. The column may be a slice of a longer array."""
    offsets = column.offsets
    values: pa.Array = getattr(column, part)
    return values[offsets[0].as_py() : offsets[-1].as_py()]
