"""The dense vectors of one entity type: the files `STEM.vectors` and `STEM.norms`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twhin_spark.errors import InputError
from twhin_spark.representations.checked_files import ChecksumWriter, FileChecksum, map_array

Vectors = NDArray[np.float32]


def dimension(embeddings: pa.Array) -> int:
    """Return the length of the first vector in a column of lists."""
    return len(embeddings[0])


class DenseWriter:
    """Writes float32 vectors of length `dim`, in the order of the rows."""

    def __init__(self, folder: Path, stem: str, dim: int) -> None:
        self._dim = dim
        self._files = {name: ChecksumWriter(folder / name) for name in (f"{stem}.vectors", f"{stem}.norms")}
        self._vectors, self._norms = self._files.values()

    def write(self, ids: Sequence[str], embeddings: pa.Array) -> None:
        """Write the next rows, lists of floats. Raises InputError for a vector that is not finite or of length dim."""
        lengths = pc.list_value_length(embeddings).fill_null(0).to_numpy(zero_copy_only=False)
        if (wrong := np.flatnonzero(lengths != self._dim)).size:
            length = f"has a vector of {lengths[wrong[0]]} numbers"
            raise InputError(f"entity '{ids[wrong[0]]}' {length}; all vectors must have {self._dim}, like the first")
        values = embeddings.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
        vectors = values.astype("<f4", copy=False).reshape(-1, self._dim)
        if (wrong := np.flatnonzero(~np.isfinite(vectors).all(axis=1))).size:  # a null has become NaN
            raise InputError(f"entity '{ids[wrong[0]]}' has NaN, null or infinity in its vector; use finite numbers")
        self._vectors.write(vectors)
        self._norms.write(np.linalg.norm(vectors.astype(np.float64), axis=1).astype("<f4"))

    def finish(self) -> dict[str, FileChecksum]:
        """Finish the files and return their checksums."""
        return {name: file.finish() for name, file in self._files.items()}


class DenseRows:
    """The vectors of one entity type, mapped from their files and read-only.

    vectors: float32 (n, dim). norms: float32 (n,).
    """

    def __init__(self, folder: Path, stem: str, dim: int) -> None:
        self.vectors: Vectors = map_array(folder / f"{stem}.vectors", "<f4", dim)
        self.norms: Vectors = map_array(folder / f"{stem}.norms", "<f4")

    def row(self, row: int) -> Vectors:
        """Return one vector (dim,), read-only."""
        vector: Vectors = self.vectors[row]
        return vector

    def take(self, rows: NDArray[np.int64]) -> Vectors:
        """Return a copy of the vectors (m, dim) of m rows."""
        copy: Vectors = self.vectors[rows]
        return copy
