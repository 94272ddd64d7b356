"""Alignment: the change of coordinates that changes no score of a model and brings it closest to a former one.

Two trainings of a model differ by a change of coordinates that no score shows, beside what they have learned. Which
changes leave all scores alone depends on the operators of the relations:

- identity and translation: any rotation or reflection Q, as (sQ + θQ) · tQ = (s + θ) · t;
- diagonal: permutations of the coordinates, and their signs: a sign cancels in s θ t;
- complex: permutations of the complex coordinates, and a phase of each: it cancels in s θ conj(t);
- several operators: what is common to all of them.

All of these are orthogonal matrices, so norms and cosines stay, too. The one that brings vectors a closest to vectors b
depends on the sum of their outer products alone, C = Σ aᵀb, (dim, dim): it maximises the trace of QᵀC. For rotations
that is the orthogonal Procrustes problem (P. Schönemann: A generalized solution of the orthogonal Procrustes problem,
Psychometrika 1966), for permutations an assignment problem.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from twhin_spark.kernels.arrays import Floats

_TURNS = np.array([1, 1j, -1, -1j])  # the phases that also are signed permutations of real and imaginary parts


@dataclass(frozen=True)
class Alignment:
    """A change of coordinates that changes no score.

    Attributes
    ----------
    matrix
        Orthogonal, float64 (dim, dim): a vector x becomes x @ matrix.
    """

    matrix: Floats

    def vectors(self, vectors: Floats) -> Floats:
        """Return vectors (n, dim) in the new coordinates, float32 (n, dim)."""
        changed: Floats = (vectors.astype(np.float64) @ self.matrix).astype(np.float32)
        return changed

    def parameters(self, operator: str, parameters: Floats) -> Floats:
        """Return an operator's parameters (k,) in the new coordinates, float32 (k,).

        A translation is a vector, and turns as all vectors do. The factors of diagonal and complex operators follow
        their coordinates, without the signs and phases, which cancel.
        """
        if operator == "identity":
            unchanged: Floats = parameters.astype(np.float32)
            return unchanged
        if operator == "translation":
            turned: Floats = self.vectors(parameters[None])[0]
            return turned
        places: Floats = self.matrix**2  # a permutation matrix: signs are ±1
        if operator == "diagonal":
            factors: Floats = parameters.astype(np.float64) @ places
            return factors.astype(np.float32)
        half = len(places) // 2
        places = places[:half, :half] + places[:half, half:]  # of complex coordinates: cos² + sin² = 1
        return np.concatenate([parameters[:half] @ places, parameters[half:] @ places]).astype(np.float32)


def fit_alignment(cross: Floats, operators: Collection[str]) -> Alignment:
    """Return the alignment that brings the vectors a closest to the vectors b.

    Parameters
    ----------
    cross
        Σ aᵀb over shared entities and relation vectors, float64 (dim, dim).
    operators
        The operators of the model's relations, names in OPERATORS.

    Examples
    --------
    Vectors b that are those of a, turned by 90°:

    >>> a = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> b = np.array([[0.0, 1.0], [-2.0, 0.0]])
    >>> bool(np.allclose(fit_alignment(a.T @ b, {"translation"}).vectors(a), b))
    True
    """
    kinds = set(operators) - {"identity", "translation"}
    if not kinds:
        left, _, right = np.linalg.svd(cross)
        rotation: Floats = left @ right
        return Alignment(rotation)
    if kinds == {"diagonal"}:
        return Alignment(_signed_permutation(cross))
    return Alignment(_complex_permutation(cross, quarter_turns="diagonal" in kinds))


def _signed_permutation(cross: Floats) -> Floats:
    """Return the signed permutation matrix P with the greatest trace of PᵀC."""
    rows, columns = linear_sum_assignment(np.abs(cross), maximize=True)
    matrix = np.zeros_like(cross)
    matrix[rows, columns] = np.where(cross[rows, columns] < 0, -1.0, 1.0)
    return matrix


def _complex_permutation(cross: Floats, *, quarter_turns: bool) -> Floats:
    """Return the permutation of complex coordinates, with phases, that has the greatest trace.

    A phase φ turns a coordinate's real and imaginary part: [[cos φ, sin φ], [-sin φ, cos φ]]. With `quarter_turns` the
    phases are multiples of 90°.
    """
    half = len(cross) // 2
    rr, ri, ir, ii = cross[:half, :half], cross[:half, half:], cross[half:, :half], cross[half:, half:]
    gains = (rr + ii) + 1j * (ri - ir)  # a phase φ gains Re(gain · exp(-iφ))
    if quarter_turns:
        by_turn = np.real(gains[..., None] * np.conj(_TURNS))  # (half, half, 4)
        rows, columns = linear_sum_assignment(by_turn.max(axis=2), maximize=True)
        phases = _TURNS[by_turn[rows, columns].argmax(axis=1)]
    else:
        rows, columns = linear_sum_assignment(np.abs(gains), maximize=True)
        chosen = gains[rows, columns]
        size = np.abs(chosen)
        phases = np.where(size > 0, chosen / np.where(size > 0, size, 1), 1)
    matrix = np.zeros_like(cross)
    matrix[rows, columns] = matrix[rows + half, columns + half] = phases.real
    matrix[rows, columns + half] = phases.imag
    matrix[rows + half, columns] = -phases.imag
    return matrix


@dataclass(frozen=True)
class LinearMap:
    """A linear map from one version's vectors to another's, and how well it fits.

    Attributes
    ----------
    matrix
        float64 (dim, dim of the other version): a vector x becomes x @ matrix.
    error
        Share of the other version's squared norms that the map misses, Σ|aM - b|² / Σ|b|²: 0 is a perfect fit.
    """

    matrix: Floats
    error: float


def fit_linear_map(gram: Floats, cross: Floats, squares: float, ridge: float = 1e-6) -> LinearMap:
    """Return the map M with the least Σ|aM - b|² over shared entities.

    Parameters
    ----------
    gram
        Σ aᵀa, float64 (dim, dim).
    cross
        Σ aᵀb, float64 (dim, dim of b).
    squares
        Σ|b|².
    ridge
        Ridge regression's penalty, as a share of the mean of the gram matrix's diagonal. It keeps directions in which
        the vectors have no extent at zero.
    """
    dim = len(gram)
    penalty = ridge * max(float(np.trace(gram)) / dim, np.finfo(np.float64).tiny)
    matrix = np.linalg.solve(gram + penalty * np.eye(dim), cross)
    missed = squares - 2 * float(np.sum(matrix * cross)) + float(np.sum(matrix * (gram @ matrix)))
    return LinearMap(matrix, max(missed, 0.0) / squares if squares > 0 else 0.0)
