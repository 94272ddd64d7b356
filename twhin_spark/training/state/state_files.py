"""State of one partition: arrays in memory, and the file that holds them between rounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats

_BLOCK_BYTES = 1 << 20
STATE_NAME = re.compile(r"p\d{5,}-c(?P<claim>\d{5,})-[a-z0-9-]+-[0-9a-f]{12}")


def state_name(partition: int, claim: int, attempt: str) -> str:
    """The name of a state file: of a partition, written under a claim, `attempt` being the writer's own."""
    return f"p{partition:05d}-c{claim:05d}-{attempt}"


@dataclass(frozen=True)
class EntityState:
    """One entity type of one partition, by row: `vectors` (n, dim) and Adagrad `accumulators` (n,), float32."""

    vectors: Floats
    accumulators: Floats

    @classmethod
    def empty(cls, rows: int, dim: int) -> EntityState:
        """Arrays to be filled. The system gives memory only to the rows that are."""
        return cls(np.empty((rows, dim), "<f4"), np.empty(rows, "<f4"))

    def __getitem__(self, rows: slice) -> EntityState:
        """The state of some rows, in the same memory."""
        return EntityState(self.vectors[rows], self.accumulators[rows])


@dataclass(frozen=True)
class StateFile:
    """A partition's file, by its name in the run's folder: of each type the vectors, then the accumulators.

    Raw little-endian float32, so that they are read into the place where they are trained, and written from there.
    """

    name: str
    rows: list[int]  # entities by type, in the run's order of types
    dim: int
    crc32: int

    @property
    def bytes(self) -> int:
        return sum(self.rows) * (self.dim + 1) * 4


def byte_blocks(state: Iterable[EntityState]) -> Iterator[memoryview]:
    """The bytes of a state, in pieces that stay in the CPU's cache between a copy and a checksum."""
    for one in state:
        for array in (one.vectors, one.accumulators):
            content = array.reshape(-1).view(np.uint8).data
            for begin in range(0, len(content), _BLOCK_BYTES):
                yield content[begin : begin + _BLOCK_BYTES]
