"""The index from an entity's id to its row: the ids as one run of bytes, and their sorted 64-bit hashes.

All parts are mapped from files. So ten million ids take no memory of the process, and opening takes no time.

For ids `b`, `a`, `c` in rows 0, 1 and 2, with hashes 70, 20 and 70, the files are

    ids      bac             the UTF-8 bytes of all ids
    offsets  0 1 2 3         row r has the bytes from offsets[r] to offsets[r + 1]
    hashes   20 70 70        sorted
    rows     1 0 2           the row of each hash

To find `c`, a binary search for its hash 70 gives position 1, whose row 0 has the id `b`. The hashes of `b` and `c`
collide, so the search goes on to position 2, whose row 2 has the id `c`. The hash only proposes rows; the id decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from twhin_spark.errors import InputError
from twhin_spark.representations.checked_files import ChecksumWriter, FileChecksum, map_array

PARTS = ("ids", "offsets", "hashes", "rows")
NOT_FOUND = -1


class StringColumn:
    """Strings by row: `offsets`, int64 (n + 1,), into their UTF-8 bytes."""

    def __init__(self, content: Path, offsets: Path) -> None:
        self._content = map_array(content, np.uint8).data  # slices of a memoryview are cheaper than those of an array
        self._offsets = map_array(offsets, "<i8")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> str:
        return self.encoded(row).decode()

    def encoded(self, row: int) -> bytes:
        """Return the UTF-8 bytes of a row's string."""
        return bytes(self._content[self._offsets[row] : self._offsets[row + 1]])


class StringColumnWriter:
    """Writes strings in the order of the rows."""

    def __init__(self, content: Path, offsets: Path) -> None:
        self._files = {content.name: ChecksumWriter(content), offsets.name: ChecksumWriter(offsets)}
        self._content, self._offsets = self._files.values()
        self._length = 0
        self._offsets.write(np.zeros(1, "<i8"))

    def write(self, strings: Sequence[bytes]) -> None:
        """Write the next rows, in UTF-8."""
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        offsets = self._length + np.cumsum(lengths)
        self._content.write(b"".join(strings))
        self._offsets.write(offsets.astype("<i8"))
        self._length += int(lengths.sum())

    def finish(self) -> dict[str, FileChecksum]:
        """Finish the files and return their checksums."""
        return {name: file.finish() for name, file in self._files.items()}


class IdIndexWriter:
    """Writes the index of one entity type's ids, in the files `STEM.PART`. It holds 8 bytes an id in memory."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._paths = {part: folder / f"{stem}.{part}" for part in PARTS}
        self._strings = StringColumnWriter(self._paths["ids"], self._paths["offsets"])
        self._hashes: list[NDArray[np.uint64]] = []

    def write(self, ids: Sequence[str]) -> None:
        """Write the ids of the next rows."""
        encoded = [text.encode() for text in ids]
        self._strings.write(encoded)
        self._hashes.append(_hashes(encoded))

    def finish(self) -> dict[str, FileChecksum]:
        """Finish the files and return their checksums. Raises InputError if an id occurs twice."""
        checksums = self._strings.finish()
        hashes = np.concatenate([np.zeros(0, np.uint64), *self._hashes])
        rows = np.argsort(hashes, kind="stable").astype("<u4")
        hashes = hashes[rows].astype("<u8", copy=False)
        self._refuse_duplicates(hashes, rows)
        for part, array in (("hashes", hashes), ("rows", rows)):
            writer = ChecksumWriter(self._paths[part])
            writer.write(array)
            checksums[self._paths[part].name] = writer.finish()
        return checksums

    def _refuse_duplicates(self, hashes: NDArray[np.uint64], rows: NDArray[np.uint32]) -> None:
        strings = StringColumn(self._paths["ids"], self._paths["offsets"])
        repeated = np.flatnonzero(hashes[1:] == hashes[:-1])
        for position in repeated.tolist():
            same_hash = rows[np.searchsorted(hashes, hashes[position]) : position + 1]
            if (text := strings[int(rows[position + 1])]) in {strings[row] for row in same_hash.tolist()}:
                raise InputError(f"entity id '{text}' occurs twice in one version; each id must occur once")


class IdIndex:
    """Finds the rows of one entity type's ids."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.ids = StringColumn(folder / f"{stem}.ids", folder / f"{stem}.offsets")
        self._hashes = map_array(folder / f"{stem}.hashes", "<u8")
        self._rows = map_array(folder / f"{stem}.rows", "<u4")

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each id (m,), NOT_FOUND for an unknown id."""
        encoded = [text.encode(errors="surrogatepass") for text in ids]
        hashes = _hashes(encoded)
        rows = np.full(len(ids), NOT_FOUND, np.int64)
        if len(self._hashes):
            positions = self._hashes.searchsorted(hashes)
            proposed = self._hashes.take(positions, mode="clip") == hashes
            for i in np.flatnonzero(proposed).tolist():
                rows[i] = self._row(encoded[i], int(positions[i]))
        return rows

    def _row(self, encoded: bytes, position: int) -> int:
        """Return the row of an id, given the first position of its hash."""
        start = position
        while position < len(self._hashes) and self._hashes[position] == self._hashes[start]:
            row = int(self._rows[position])
            if self.ids.encoded(row) == encoded:
                return row
            position += 1
        return NOT_FOUND


def _hashes(encoded: Sequence[bytes]) -> NDArray[np.uint64]:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, encoded), np.uint64, len(encoded))
