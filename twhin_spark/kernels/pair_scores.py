"""How close the two representations of a pair are. Sums are in float64, so that every caller gets the same numbers.

A dense batch is an array (n, dim), a sparse one a CSR matrix (n, communities). One side may have a single row, which is
then paired with every row of the other. A pair with a missing entity is the caller's to tell: here both are present.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.operators import OPERATORS

Scores: TypeAlias = NDArray[np.float64]
Sparse: TypeAlias = csr_array[np.float64]


def apply_relation(operator: str, parameters: Floats, sources: Floats) -> Scores:
    """What a relation makes of the vectors of its sources (n, dim): float64 (n, dim), to be scored with targets."""
    return np.asarray(OPERATORS[operator].apply(_double(parameters), _double(sources)), np.float64)


def dot(x: Floats, y: Floats) -> Scores:
    """The dot product x · y."""
    return np.asarray(np.einsum("nd,nd->n", _double(x), _double(y)))


def cosine(x: Floats, y: Floats) -> Scores:
    """The dot product over both norms, x · y / (|x| |y|), or 0 where a vector is zero."""
    return _over(dot(x, y), np.linalg.norm(_double(x), axis=1) * np.linalg.norm(_double(y), axis=1))


def euclidean(x: Floats, y: Floats) -> Scores:
    """The distance |x - y|: smaller is closer."""
    return np.asarray(np.linalg.norm(_double(x) - _double(y), axis=1))


def manhattan(x: Floats, y: Floats) -> Scores:
    """The distance Σ |x - y|: smaller is closer."""
    return np.asarray(np.abs(_double(x) - _double(y)).sum(axis=1))


def sparse_dot(x: Sparse, y: Sparse) -> Scores:
    """The dot product x · y."""
    return _row_sums(_repeated(x, y).multiply(_repeated(y, x)).tocsr())


def sparse_cosine(x: Sparse, y: Sparse) -> Scores:
    """As the dense cosine: the norm is (Σx²)^0.5."""
    return _over_norms(x, y, np.sqrt)


def log_cosine(x: Sparse, y: Sparse) -> Scores:
    """A cosine with the norm ln(1 + Σx²), which grows more slowly, so that popular entities keep an advantage."""
    return _over_norms(x, y, np.log1p)


def exp_scaled_cosine(x: Sparse, y: Sparse) -> Scores:
    """A cosine with the norm (Σx²)^0.3, between the dot product (exponent 0) and the cosine (0.5)."""
    return _over_norms(x, y, lambda squares: squares**0.3)


def jaccard(x: Sparse, y: Sparse) -> Scores:
    """The communities of both over those of either, |X ∩ Y| / |X ∪ Y|, or 0 where neither has one."""
    x, y = _support(x), _support(y)
    common = sparse_dot(x, y)
    return _over(common, _row_sums(x) + _row_sums(y) - common)


DENSE_MEASURES: Mapping[str, Callable[[Floats, Floats], Scores]] = {
    "dot": dot,
    "cosine": cosine,
    "euclidean": euclidean,
    "manhattan": manhattan,
}
SPARSE_MEASURES: Mapping[str, Callable[[Sparse, Sparse], Scores]] = {
    "dot": sparse_dot,
    "cosine": sparse_cosine,
    "jaccard": jaccard,
    "log_cosine": log_cosine,
    "exp_scaled_cosine": exp_scaled_cosine,
}


def weighted_sum(scores: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """Σ weight · score of one or more scores (n,), added in the order given. NaN is missing, and so is its sum."""
    total = np.zeros(len(scores[0]))
    for score, weight in zip(scores, weights, strict=True):
        total += weight * score
    return total


def _double(x: Floats) -> Scores:
    return x.astype(np.float64, copy=False)


def _over(part: Scores, whole: Scores) -> Scores:
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def _over_norms(x: Sparse, y: Sparse, norm: Callable[[Scores], Scores]) -> Scores:
    """The dot product over the norms, functions of Σx², or 0 where a row is empty."""
    return _over(sparse_dot(x, y), norm(_squares(x)) * norm(_squares(y)))


def _squares(x: Sparse) -> Scores:
    return _row_sums(x.astype(np.float64).power(2))


def _row_sums(x: Sparse) -> Scores:
    return np.asarray(x.sum(axis=1), np.float64)


def _repeated(x: Sparse, other: Sparse) -> Sparse:
    """The rows in float64, a single one as often as the other side has rows."""
    double: Sparse = x.astype(np.float64)
    return csr_array(double[np.zeros(other.shape[0], np.intp)]) if x.shape[0] == 1 else double


def _support(x: Sparse) -> Sparse:
    """1 where x has a weight other than zero."""
    support: Sparse = x.astype(np.float64)
    support.data = (support.data != 0).astype(np.float64)
    return support
