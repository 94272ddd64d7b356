"""Similarity measures that training differentiates: dot products of vectors as they are, or over their norms."""

from typing import Protocol, TypeAlias

import numpy as np

from twhin_spark.kernels.arrays import Floats

MIN_NORM = 1e-6  # a shorter vector has the gradient of a vector of this length


class ComparedVectors(Protocol):
    """Vectors as they are compared: dot products of `vectors` are scores.

    Attributes
    ----------
    vectors
        (..., n, dim).
    """

    vectors: Floats

    def greatest_norms(self) -> Floats:
        """Return an upper bound of the norms of each chunk's `vectors`, (...)."""
        ...

    def backward(self, gradient: Floats) -> Floats:
        """Return the gradient at the original vectors from the one at `vectors`, which is overwritten."""
        ...


class Dot:
    """The dot product x · y."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors

    def greatest_norms(self) -> Floats:
        return np.asarray(np.sqrt(np.einsum("...d,...d->...", self.vectors, self.vectors).max(axis=-1, initial=0)))

    def backward(self, gradient: Floats) -> Floats:
        return gradient


class Cosine:
    """The cosine x · y / (|x| |y|), or 0 if a vector is zero.

    The gradient grows as 1 / |x| and does not exist at zero. It is therefore divided by MIN_NORM at least: its squares
    stay finite, and a zero vector can move.
    """

    def __init__(self, vectors: Floats) -> None:
        squares = np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64)  # float32 would over- and underflow
        self._norms = np.sqrt(squares).astype(vectors.dtype)[..., None]
        self.vectors: Floats = vectors / np.maximum(self._norms, np.finfo(vectors.dtype).tiny)

    def greatest_norms(self) -> Floats:
        return np.ones(self.vectors.shape[:-2], self.vectors.dtype)

    def backward(self, gradient: Floats) -> Floats:
        along = np.einsum("...d,...d->...", gradient, self.vectors)[..., None]
        gradient -= along * self.vectors
        gradient /= np.maximum(self._norms, gradient.dtype.type(MIN_NORM))
        return gradient


Comparator: TypeAlias = type[Dot] | type[Cosine]
COMPARATORS: dict[str, Comparator] = {"dot": Dot, "cosine": Cosine}
