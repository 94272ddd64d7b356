"""One numbering of communities for two versions of sparse families, so that their representations can be compared.

Every store numbers the communities in the order in which its rows name them. For example, if one family numbers the
communities 5, 9 as 0, 1 and another numbers 9, 7 as 0, 1, the shared numbers are 0, 1 for 5, 9 and 2 for 7.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from twhin_spark.kernels.pair_scores import Sparse
from twhin_spark.serving.stored_version import StoredVersion

_Numbers = NDArray[np.int32]
_shared: WeakKeyDictionary[StoredVersion, WeakKeyDictionary[StoredVersion, tuple[_Numbers, int]]] = WeakKeyDictionary()


def share_numbers(source: StoredVersion, x: Sparse, target: StoredVersion, y: Sparse) -> tuple[Sparse, Sparse]:
    """Return the rows of two versions, x (m, .) and y (n, .), with the same communities as columns."""
    if source is target:
        return x, y
    numbers, count = _numbers(source, target)
    wider = csr_array((x.data, x.indices, x.indptr), shape=(x.shape[0], count))
    return wider, csr_array((y.data, numbers[y.indices], y.indptr), shape=(y.shape[0], count))


def _numbers(source: StoredVersion, target: StoredVersion) -> tuple[_Numbers, int]:
    """Return the shared number of each of the target's communities, and the number of all communities."""
    by_target = _shared.setdefault(source, WeakKeyDictionary())
    if target not in by_target:
        number = {name: i for i, name in enumerate(source.communities)}
        numbers = np.array([number.setdefault(name, len(number)) for name in target.communities], np.int32)
        by_target[target] = numbers, len(number)
    return by_target[target]
