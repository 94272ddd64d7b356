"""Files that are written once with a checksum, and read by mapping them into memory.

A file holds the bytes of an array, little-endian and row by row; type and shape stand in the code that reads it.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xxhash
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel, ConfigDict

from twhin_spark.representations.errors import StoreError

Array: TypeAlias = NDArray[Any]

_CHUNK = 16 * 1024 * 1024  # bytes read at once to check a file


class Sum(BaseModel):
    """What a file must be: its length in bytes and the XXH3 (128 bits, hexadecimal) of its content."""

    model_config = ConfigDict(frozen=True)

    length: int
    xxh3: str


class Writer:
    """A new file; its sum is known when it is finished."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")
        self._hash = xxhash.xxh3_128()
        self._length = 0

    def write(self, content: bytes | Array) -> None:
        """Appends bytes, or those of a contiguous array."""
        view = content.data if isinstance(content, np.ndarray) else memoryview(content)
        self._file.write(view)
        self._hash.update(view)
        self._length += view.nbytes

    def finish(self) -> Sum:
        """Brings the file to the disk, read-only from now on."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.chmod(0o444)
        return Sum(length=self._length, xxh3=self._hash.hexdigest())


def check_length(path: Path, expected: Sum) -> None:
    """Raises StoreError where the file is missing or its length is not the expected one."""
    try:
        length = path.stat().st_size
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; the store is incomplete") from None
    if length != expected.length:
        raise StoreError(f"{path}: found {length:,} bytes, expected {expected.length:,}; the file is damaged")


def check_content(path: Path, expected: Sum) -> None:
    """Reads all of the file; raises StoreError where its checksum is not the expected one."""
    check_length(path, expected)
    found = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    if found.hexdigest() != expected.xxh3:
        raise StoreError(f"{path}: found checksum {found.hexdigest()}, expected {expected.xxh3}; the file is damaged")


def mapped(path: Path, dtype: DTypeLike, *columns: int) -> Array:
    """The file's array, read-only: (n,), or (n, columns). Pages are read when touched, and shared by processes."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return np.zeros((0, *columns), dtype)
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(content, dtype).reshape(-1, *columns)


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
