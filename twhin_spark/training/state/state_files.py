"""State of one partition: arrays in memory, and the file that holds them between rounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twhin_spark.kernels.arrays import Floats

_PIECE_BYTES = 1 << 20
STATE_NAME = re.compile(r"p\d{5,}-c(?P<claim>\d{5,})-[a-z0-9-]+-[0-9a-f]{12}")


def state_name(partition: int, claim: int, attempt: str) -> str:
    """Return the name of a partition's file: `attempt` is unique to the task that writes it under a claim."""
    return f"p{partition:05d}-c{claim:05d}-{attempt}"


@dataclass(frozen=True)
class EntityState:
    """State of one entity type in one partition, by row.

    vectors: (n, dim), float32. accumulators: Adagrad's, (n,), float32.
    """

    vectors: Floats
    accumulators: Floats

    @classmethod
    def empty(cls, rows: int, dim: int) -> EntityState:
        """Return arrays to be filled. The system gives memory only to the rows that are."""
        return cls(np.empty((rows, dim), "<f4"), np.empty(rows, "<f4"))

    def __getitem__(self, rows: slice) -> EntityState:
        """Return the state of some rows, in the same memory."""
        return EntityState(self.vectors[rows], self.accumulators[rows])


@dataclass(frozen=True)
class StateFile:
    """A partition's file in the run's folder: of each entity type the vectors, then the accumulators.

    The numbers are raw little-endian float32, so that they are read into the memory in which they are trained and
    written from there.
    """

    name: str
    rows: list[int]  # entities by type, in the run's order of types
    dim: int
    crc32: int

    @property
    def bytes(self) -> int:
        return sum(self.rows) * (self.dim + 1) * 4


def state_files(fields: Mapping[str, Any]) -> dict[int, StateFile]:
    """Return the files, by partition, that `asdict` and JSON turned into these fields."""
    return {int(partition): StateFile(**file) for partition, file in fields.items()}


def byte_pieces(states: Iterable[EntityState]) -> Iterator[memoryview]:
    """Cut states into pieces of bytes that stay in the CPU's cache between a copy and a checksum."""
    for state in states:
        for array in (state.vectors, state.accumulators):
            content = array.reshape(-1).view(np.uint8).data
            for begin in range(0, len(content), _PIECE_BYTES):
                yield content[begin : begin + _PIECE_BYTES]
