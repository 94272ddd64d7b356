"""The sparse representations of one entity type, weights by community: a CSR matrix in three files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from twhin_spark.errors import InputError
from twhin_spark.kernels.pair_scores import Sparse
from twhin_spark.representations.checked_files import ChecksumWriter, FileChecksum, map_array
from twhin_spark.serving.id_index import StringColumn, StringColumnWriter


class CommunityNumbers:
    """The numbers of communities, in the order of their first occurrence: the columns of a version's matrices."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._number)

    def numbers(self, names: pa.Array) -> NDArray[np.int32]:
        """Return the number of each name (n,). New names get the next numbers."""
        coded = names.cast(pa.large_string()).dictionary_encode()
        numbers = [self._number.setdefault(name, len(self._number)) for name in coded.dictionary.to_pylist()]
        column: NDArray[np.int32] = np.array(numbers, np.int32)[coded.indices.to_numpy()]
        return column

    def finish(self, folder: Path) -> dict[str, FileChecksum]:
        """Write the names in the order of their numbers, and return the checksums of the files."""
        writer = StringColumnWriter(folder / "communities.ids", folder / "communities.offsets")
        writer.write([name.encode() for name in self._number])
        return writer.finish()

    @staticmethod
    def read(folder: Path) -> list[str]:
        """Read the names in the order of their numbers."""
        names = StringColumn(folder / "communities.ids", folder / "communities.offsets")
        return [names[i] for i in range(len(names))]


class SparseWriter:
    """Writes rows in order: `starts` int64 (n + 1,), `columns` int32 (entries,) and `weights` float32 (entries,)."""

    def __init__(self, folder: Path, stem: str, communities: CommunityNumbers) -> None:
        self._communities = communities
        names = (f"{stem}.starts", f"{stem}.columns", f"{stem}.weights")
        self._files = {name: ChecksumWriter(folder / name) for name in names}
        self._starts, self._columns, self._weights = self._files.values()
        self._starts.write(np.zeros(1, "<i8"))
        self._entries = 0

    def write(self, ids: Sequence[str], embeddings: pa.Array) -> None:
        """Write the next rows, maps of community to weight. Raises InputError for a null or a weight not finite."""
        if embeddings.null_count:
            row = embeddings.is_null().to_pylist().index(True)
            raise InputError(f"entity '{ids[row]}' has a null embedding; a map of community to weight is required")
        offsets = embeddings.offsets.to_numpy()
        first, last = int(offsets[0]), int(offsets[-1])
        columns = self._communities.numbers(embeddings.keys[first:last])
        weights = embeddings.items[first:last].cast(pa.float32()).to_numpy(zero_copy_only=False)
        if (wrong := np.flatnonzero(~np.isfinite(weights))).size:
            row = int(np.searchsorted(offsets, first + wrong[0], side="right")) - 1
            raise InputError(f"entity '{ids[row]}' has a weight that is NaN, null or infinite; use finite numbers")
        self._starts.write((self._entries + offsets[1:] - first).astype("<i8"))
        self._columns.write(columns.astype("<i4", copy=False))
        self._weights.write(weights.astype("<f4", copy=False))
        self._entries += last - first

    def finish(self) -> dict[str, FileChecksum]:
        """Finish the files and return their checksums."""
        return {name: file.finish() for name, file in self._files.items()}


def stack_rows(matrices: Sequence[Sparse], communities: int) -> Sparse:
    """Return the rows of all matrices, one below the other."""
    stacked: Sparse = vstack([csr_array((0, communities), dtype=np.float64), *matrices], format="csr")
    return stacked


class SparseRows:
    """The rows of one entity type, mapped from their files. communities: the names of the columns."""

    def __init__(self, folder: Path, stem: str, communities: Sequence[str]) -> None:
        self.communities = communities
        self._starts = map_array(folder / f"{stem}.starts", "<i8")
        self._columns = map_array(folder / f"{stem}.columns", "<i4")
        self._weights = map_array(folder / f"{stem}.weights", "<f4")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def block(self, begin: int, end: int) -> Sparse:
        """Return the rows begin to end - 1, or to the last one, as CSR (m, communities), float64."""
        starts = self._starts[begin : end + 1]
        entries = slice(int(starts[0]), int(starts[-1]))
        content = (self._weights[entries].astype(np.float64), self._columns[entries], starts - starts[0])
        return csr_array(content, shape=(len(starts) - 1, len(self.communities)))

    def row(self, row: int) -> dict[str, float]:
        """Return the weights of one row by community."""
        entries = slice(self._starts[row], self._starts[row + 1])
        names = [self.communities[column] for column in self._columns[entries].tolist()]
        return dict(zip(names, self._weights[entries].tolist(), strict=True))

    def take(self, rows: NDArray[np.int64]) -> Sparse:
        """Return m rows as CSR (m, communities), float64."""
        lengths = self._starts[rows + 1] - self._starts[rows]
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        entries = np.arange(starts[-1]) + np.repeat(self._starts[rows] - starts[:-1], lengths)
        content = (self._weights[entries].astype(np.float64), self._columns[entries], starts)
        return csr_array(content, shape=(len(rows), len(self.communities)))
