"""False negatives: candidates that equal an edge's own entity."""

import numpy as np

from twhin_spark.kernels.arrays import Integers

_DENSE_PAIRS = 1 << 14  # up to as many pairs of a chunk, comparing all of them takes less time than sorting
_DENSE_MATCHES = 16  # from as many matches of each entity on, it takes less time again


def equal_pairs(left: Integers, right: Integers) -> Integers:
    """Return the flat positions in (C, m, n) at which left and right are equal, ascending in m.

    Parameters
    ----------
    left, right
        Entity numbers (C, m) and (C, n) of C chunks, from 0 and below 2^31.

    Examples
    --------
    For left [[4, 7]] and right [[7, 4, 4]], the pairs (0, 1), (0, 2) and (1, 0) are equal: positions 1, 2 and 3.
    """
    chunks, width = right.shape
    if left.shape[1] * width > _DENSE_PAIRS:
        chunk = np.arange(chunks, dtype=np.int64)[:, None] << 32
        right_keys, left_keys = (chunk | right).ravel(), (chunk | left).ravel()
        order = np.argsort(right_keys)
        sorted_keys = right_keys[order]
        first = np.searchsorted(sorted_keys, left_keys)
        matches = np.searchsorted(sorted_keys, left_keys, side="right") - first  # of each of `left`
        total = int(matches.sum())
        if total <= _DENSE_MATCHES * len(left_keys):
            rank = np.arange(total) + np.repeat(first - np.cumsum(matches) + matches, matches)  # in `sorted_keys`
            positions: Integers = np.repeat(np.arange(len(left_keys)) * width, matches) + (order % width)[rank]
            return positions
    return np.flatnonzero(left[:, :, None] == right[:, None, :])
