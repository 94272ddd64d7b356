"""Places: an entity's partition and row in one int64 number, by which arrays are sorted and searched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Integers

Places = NDArray[np.int64]
ROW_BITS = 32


def place_of(partition: int | Integers, row: Integers) -> Places:
    """Their places (n,), in the order of partitions, then of rows."""
    places: Places = (np.asarray(partition, np.int64) << ROW_BITS) | row
    return places


def partition_of(places: Places) -> Places:
    """The partition of each place, (n,)."""
    return places >> ROW_BITS


def row_of(places: Places) -> Places:
    """The row of each place, (n,)."""
    return places & ((1 << ROW_BITS) - 1)


def span(ordered: Places, first: int, last: int) -> slice:
    """Where the partitions first up to, not including, last lie in ascending places."""
    begin, end = np.searchsorted(ordered, np.array([first, last], np.int64) << ROW_BITS)
    return slice(int(begin), int(end))


def find(values: Integers, ordered: Integers) -> Integers:
    """Positions (n,) of values (n,) in a strictly ascending array; -1 for those that it does not hold."""
    if not len(ordered):
        return np.full(len(values), -1)
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.where(ordered[at] == values, at, -1)
