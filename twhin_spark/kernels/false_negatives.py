"""Which candidates are no negatives of an edge, as they are its own entity."""

import numpy as np

from twhin_spark.kernels.arrays import Integers

_FEW = 1 << 14  # pairs of a chunk, up to which comparing all of them takes less time than sorting
_MANY = 16  # equal ones of each entity, from which on it does again


def equal_pairs(left: Integers, right: Integers) -> Integers:
    """Flat positions in (C, m, n) where left (C, m) equals right (C, n); both are 0 or more, and below 2^31."""
    chunks, width = right.shape
    if left.shape[1] * width > _FEW:
        chunk = np.arange(chunks, dtype=np.int64)[:, None] << 32
        keys, wanted = (chunk | right).ravel(), (chunk | left).ravel()
        order = np.argsort(keys)
        ordered = keys[order]
        first = np.searchsorted(ordered, wanted)
        found = np.searchsorted(ordered, wanted, side="right") - first  # of each of `left`
        total = int(found.sum())
        if total <= _MANY * len(wanted):
            place = np.arange(total) + np.repeat(first - np.cumsum(found) + found, found)
            positions: Integers = np.repeat(np.arange(len(wanted)) * width, found) + (order % width)[place]
            return positions
    return np.flatnonzero(left[:, :, None] == right[:, None, :])
