"""Array types of the kernels' signatures, and small array functions that several kernels need."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Integers: TypeAlias = NDArray[np.integer[Any]]


def number_within(ascending: Integers) -> Integers:
    """Number equal elements from 0: [2, 2, 5, 7, 7, 7] gives [0, 1, 0, 0, 1, 2].

    Parameters
    ----------
    ascending
        Sorted integers (n,) of at least 0.
    """
    sizes = np.bincount(ascending)
    return np.arange(len(ascending)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def transposed(matrices: Floats) -> Floats:
    """Return the transposes (C, n, m) of matrices (C, m, n), as a view."""
    return matrices.transpose(0, 2, 1)
