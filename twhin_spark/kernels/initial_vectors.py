"""Initial vectors of entities: a function of entity key and seed alone, so the same for any partitioning."""

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Integers

GAMMA = 0x9E3779B97F4A7C15  # the increment of splitmix64: 2^64 over the golden ratio
ROWS_AT_ONCE = 8192  # bounds the 64-bit scratch memory: 8 MiB at dim 128


def initial_vectors(keys: Integers, dim: int, scale: float, seed: int) -> NDArray[np.float32]:
    """Draw the initial vectors of entities.

    Component j of an entity is the j-th number of a splitmix64 generator (G. Steele, D. Lea, C. Flood: Fast Splittable
    Pseudorandom Number Generators, OOPSLA 2014) that starts at a hash of the entity's key and the seed.

    Parameters
    ----------
    keys
        64-bit keys of the entities, (n,).
    dim
        Length of a vector.
    scale
        Standard deviation of a component; components are uniform with mean 0.
    seed
        Any integer.

    Returns
    -------
    float32 (n, dim)
        A vector for each key.
    """
    vectors = np.empty((len(keys), dim), np.float32)
    starts = _mix(keys.astype(np.int64, copy=False).view(np.uint64) ^ _mix(np.array([seed % 2**64], np.uint64)))  # (n,)
    steps = np.arange(1, dim + 1, dtype=np.uint64) * np.uint64(GAMMA)  # (dim,) modulo 2^64
    width = scale * np.sqrt(12.0)  # a uniform variable on [0, width) has the standard deviation width / √12
    for begin in range(0, len(keys), ROWS_AT_ONCE):
        block = slice(begin, begin + ROWS_AT_ONCE)
        bits = _mix(starts[block, None] + steps)  # (ROWS_AT_ONCE, dim)
        unit = (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)  # 24 random bits: exact in float32
        vectors[block] = (unit - np.float32(0.5)) * np.float32(width)
    return vectors


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the output function of splitmix64: a bijection in which every bit depends on every other bit."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
