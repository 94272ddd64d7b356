"""Comparators: how the changed vector of one end of an edge and the vector of the other make a score.

Each is a dot product: of the vectors as they are, or of the vectors over their norms.
"""

from typing import Protocol, TypeAlias

import numpy as np

from twhin_spark.kernels.arrays import Floats

MIN_NORM = 1e-6  # a shorter vector has the gradient of one of this length


class ComparedVectors(Protocol):
    """What becomes of vectors (..., dim) before they are compared. The dot products of `vectors` are scores."""

    vectors: Floats

    def greatest_norm(self) -> float:
        """A bound of the norms of `vectors`."""
        ...

    def backward(self, gradient: Floats) -> Floats:
        """From the gradient at `vectors`, which it uses up, that at the vectors given."""
        ...


class Dot:
    """x · y."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors

    def greatest_norm(self) -> float:
        return float(np.sqrt(np.einsum("...d,...d->...", self.vectors, self.vectors).max(initial=0)))

    def backward(self, gradient: Floats) -> Floats:
        return gradient


class Cosine:
    """x · y / (|x| |y|), or 0 where a vector is zero.

    Its gradient grows as 1 / |x|, and at zero there is none. So that the sums of its squares stay finite, and a zero
    vector does not stay where it is, no norm below MIN_NORM divides it.
    """

    def __init__(self, vectors: Floats) -> None:
        squares = np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64)  # float32 would over- and underflow
        self._norms = np.sqrt(squares).astype(vectors.dtype)[..., None]
        self.vectors: Floats = vectors / np.maximum(self._norms, np.finfo(vectors.dtype).tiny)

    def greatest_norm(self) -> float:
        return 1.0

    def backward(self, gradient: Floats) -> Floats:
        along = np.einsum("...d,...d->...", gradient, self.vectors)[..., None]
        gradient -= along * self.vectors
        gradient /= np.maximum(self._norms, gradient.dtype.type(MIN_NORM))
        return gradient


Comparator: TypeAlias = type[Dot] | type[Cosine]
COMPARATORS: dict[str, Comparator] = {"dot": Dot, "cosine": Cosine}
