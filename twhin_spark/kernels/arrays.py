"""The array types of the kernels' signatures, and what several of them need. Docstrings give shapes and dtypes."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Integers: TypeAlias = NDArray[np.integer[Any]]


def number_within(ascending: Integers) -> Integers:
    """Each element's number, from 0, among those equal to it: (n,) of ascending numbers (n,) of at least 0."""
    sizes = np.bincount(ascending)
    return np.arange(len(ascending)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
