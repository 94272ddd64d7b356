"""Scores of pairs of representations, summed in float64, so that every caller gets the same numbers.

Dense representations are arrays (n, dim), sparse ones CSR matrices (n, communities). Row i of x is paired with row i of
y; if one of them has a single row, it is paired with every row of the other. Scores are float64 (n,). Callers leave out
pairs with a missing entity.
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
    """Change source vectors by a relation, so that they can be compared with targets.

    Parameters
    ----------
    operator
        A name in OPERATORS.
    parameters
        The relation's parameters, (k,).
    sources
        Vectors (n, dim).

    Returns
    -------
    float64 (n, dim)
        The changed vectors.
    """
    return np.asarray(OPERATORS[operator].apply(_double(parameters), _double(sources)), np.float64)


def dot(x: Floats, y: Floats) -> Scores:
    """Return the dot products x · y."""
    return np.asarray(np.einsum("nd,nd->n", _double(x), _double(y)))


def cosine(x: Floats, y: Floats) -> Scores:
    """Return x · y / (|x| |y|), or 0 if a vector is zero."""
    return _quotient(dot(x, y), np.linalg.norm(_double(x), axis=1) * np.linalg.norm(_double(y), axis=1))


def euclidean(x: Floats, y: Floats) -> Scores:
    """Return the distances |x - y|: smaller is closer."""
    return np.asarray(np.linalg.norm(_double(x) - _double(y), axis=1))


def manhattan(x: Floats, y: Floats) -> Scores:
    """Return the distances Σ |x - y|: smaller is closer."""
    return np.asarray(np.abs(_double(x) - _double(y)).sum(axis=1))


def sparse_dot(x: Sparse, y: Sparse) -> Scores:
    """Return the dot products x · y."""
    return _row_sums(_repeated(x, y).multiply(_repeated(y, x)).tocsr())


def sparse_cosine(x: Sparse, y: Sparse) -> Scores:
    """Return x · y / (|x| |y|), or 0 if a row is empty."""
    return _over_norms(x, y, np.sqrt)


def log_cosine(x: Sparse, y: Sparse) -> Scores:
    """Return a cosine with the norm ln(1 + Σx²), whose slow growth leaves popular entities an advantage."""
    return _over_norms(x, y, np.log1p)


def exp_scaled_cosine(x: Sparse, y: Sparse) -> Scores:
    """Return a cosine with the norm (Σx²)^0.3, between the dot product (exponent 0) and the cosine (0.5)."""
    return _over_norms(x, y, lambda squares: squares**0.3)


def jaccard(x: Sparse, y: Sparse) -> Scores:
    """Return |X ∩ Y| / |X ∪ Y| of the rows' sets of communities, or 0 if both are empty."""
    x, y = _support(x), _support(y)
    common = sparse_dot(x, y)
    return _quotient(common, _row_sums(x) + _row_sums(y) - common)


def fuzzy_jaccard(x: Sparse, y: Sparse) -> Scores:
    """Return Σ min(x, y) / Σ max(x, y) of weights that are not negative, or 0 if both rows are empty.

    min(x, y) is (x + y - |x - y|) / 2, and the maximum likewise. {a: 1, b: 2} and {a: 2, c: 1} have 1 / (2 + 2 + 1).
    """
    difference, both = sparse_manhattan(x, y), _row_sums(x.astype(np.float64)) + _row_sums(y.astype(np.float64))
    return _quotient((both - difference) / 2, (both + difference) / 2)


def sparse_euclidean(x: Sparse, y: Sparse) -> Scores:
    """Return the distances |x - y|: smaller is closer."""
    return np.sqrt(_squares(csr_array(_repeated(x, y) - _repeated(y, x))))


def sparse_manhattan(x: Sparse, y: Sparse) -> Scores:
    """Return the distances Σ |x - y|: smaller is closer."""
    return _row_sums(csr_array(abs(_repeated(x, y) - _repeated(y, x))))


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
    "fuzzy_jaccard": fuzzy_jaccard,
    "euclidean": sparse_euclidean,
    "manhattan": sparse_manhattan,
}


def weighted_sum(scores: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """Return Σ weight · score, added in the order of the scores; the sum with a missing score (NaN) is missing.

    Parameters
    ----------
    scores
        One or more arrays, float64 (n,).
    weights
        A weight for each array.
    """
    total = np.zeros(len(scores[0]))
    for score, weight in zip(scores, weights, strict=True):
        total += weight * score
    return total


def _double(x: Floats) -> Scores:
    return x.astype(np.float64, copy=False)


def _quotient(numerator: Scores, denominator: Scores) -> Scores:
    """Divide; the result is 0 if the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator > 0)


def _over_norms(x: Sparse, y: Sparse, norm: Callable[[Scores], Scores]) -> Scores:
    """Divide dot products by norms, which are functions of Σx²; 0 if a row is empty."""
    return _quotient(sparse_dot(x, y), norm(_squares(x)) * norm(_squares(y)))


def _squares(x: Sparse) -> Scores:
    return _row_sums(x.astype(np.float64).power(2))


def _row_sums(x: Sparse) -> Scores:
    return np.asarray(x.sum(axis=1), np.float64)


def _repeated(x: Sparse, other: Sparse) -> Sparse:
    """Return rows in float64; a single row is repeated for each row of `other`."""
    double: Sparse = x.astype(np.float64)
    return csr_array(double[np.zeros(other.shape[0], np.intp)]) if x.shape[0] == 1 else double


def _support(x: Sparse) -> Sparse:
    """Replace weights other than 0 by 1."""
    support: Sparse = x.astype(np.float64)
    support.data = (support.data != 0).astype(np.float64)
    return support
