"""Entity locations: the partition and the row of an entity, packed into one int64 to sort and search by.

The partition is in the high 32 bits and the row in the low 32 bits, so locations are ordered by partition, then by row:
partition 2, row 5 is 2 · 2^32 + 5 = 8589934597.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F

from twhin_spark.kernels.arrays import Integers

Locations = NDArray[np.int64]
ROW_BITS = 32


def location_of(partition: int | Integers, row: Integers) -> Locations:
    """Return the locations (n,) of rows (n,) of one partition, or of a partition (n,) each."""
    locations: Locations = (np.asarray(partition, np.int64) << ROW_BITS) | row
    return locations


def location_column() -> Column:
    """Return `location_of` as an expression on the columns `partition` and `row` of `entities`."""
    return F.shiftleft(F.col("partition").cast("bigint"), ROW_BITS) + F.col("row")


def partition_of(locations: Locations) -> Locations:
    """Return the partition of each location, (n,)."""
    return locations >> ROW_BITS


def row_of(locations: Locations) -> Locations:
    """Return the row of each location, (n,)."""
    return locations & ((1 << ROW_BITS) - 1)


def partition_slice(locations: Locations, first: int, stop: int) -> slice:
    """Return the slice of ascending locations (n,) that lie in the partitions first, ..., stop - 1."""
    begin, end = np.searchsorted(locations, np.array([first, stop], np.int64) << ROW_BITS)
    return slice(int(begin), int(end))


def rows_in(locations: Locations, partition: int) -> Locations:
    """Return the rows (k,) of those ascending locations (n,) that lie in a partition."""
    return row_of(locations[partition_slice(locations, partition, partition + 1)])


def positions_in(values: Integers, ascending: Integers) -> Integers:
    """Return the position of each value (n,) in a strictly ascending array (m,), -1 for a value that is not in it.

    The values 7, 3, 9 have the positions -1, 0, 2 in the array 3, 5, 9.
    """
    if not len(ascending):
        return np.full(len(values), -1)
    position = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.where(ascending[position] == values, position, -1)
