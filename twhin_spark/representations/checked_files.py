"""Files that are written once with a checksum, and read by mapping them into memory.

A file holds the bytes of an array, little-endian and row by row. The code that reads it knows the type and the shape.
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

_CHUNK = 16 * 1024 * 1024  # bytes that are read at a time to check a file


class FileChecksum(BaseModel):
    """The length of a file in bytes, and the XXH3 of its content (128 bits, hexadecimal)."""

    model_config = ConfigDict(frozen=True)

    length: int
    xxh3: str


class ChecksumWriter:
    """Writes a new file and computes its checksum."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")
        self._hash = xxhash.xxh3_128()
        self._length = 0

    def write(self, content: bytes | Array) -> None:
        """Append bytes, or the bytes of a contiguous array."""
        view = content.data if isinstance(content, np.ndarray) else memoryview(content)
        self._file.write(view)
        self._hash.update(view)
        self._length += view.nbytes

    def finish(self) -> FileChecksum:
        """Flush the file to the disk, make it read-only, and return its checksum."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.chmod(0o444)
        return FileChecksum(length=self._length, xxh3=self._hash.hexdigest())


def check_length(path: Path, checksum: FileChecksum) -> None:
    """Check a file's length. Raises StoreError if the file is missing or the length differs."""
    try:
        length = path.stat().st_size
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; the store is incomplete") from None
    if length != checksum.length:
        raise StoreError(f"{path}: {length:,} bytes instead of {checksum.length:,}; the file is damaged")


def check_content(path: Path, checksum: FileChecksum) -> None:
    """Read the whole file and check its length and checksum. Raises StoreError if they differ."""
    check_length(path, checksum)
    content = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            content.update(chunk)
    if content.hexdigest() != checksum.xxh3:
        raise StoreError(f"{path}: checksum {content.hexdigest()} instead of {checksum.xxh3}; the file is damaged")


def map_array(path: Path, dtype: DTypeLike, *columns: int) -> Array:
    """Map a file as a read-only array of shape (n,), or (n, columns).

    Pages are read when they are touched, and processes share them.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return np.zeros((0, *columns), dtype)
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(content, dtype).reshape(-1, *columns)


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
