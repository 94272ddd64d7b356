"""From an entity's id to its row: ids as one run of bytes, and their sorted 64-bit hashes to find them by.

Everything is mapped from files, so that ten million ids cost no memory of the process and no time at opening. A hash
only proposes rows; the id itself decides, so ids whose hashes collide are told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from twhin_spark.errors import InputError
from twhin_spark.representations.checked_files import Sum, Writer, mapped

PARTS = ("ids", "offsets", "hashes", "rows")
NOT_FOUND = -1


class Strings:
    """Texts by their row: `offsets` int64 (n + 1,) into UTF-8 bytes."""

    def __init__(self, content: Path, offsets: Path) -> None:
        self._content = mapped(content, np.uint8).data  # slices of a memoryview are cheaper than those of an array
        self._offsets = mapped(offsets, "<i8")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> str:
        return self.encoded(row).decode()

    def encoded(self, row: int) -> bytes:
        return bytes(self._content[self._offsets[row] : self._offsets[row + 1]])


class StringsWriter:
    """Writes texts in the order given."""

    def __init__(self, content: Path, offsets: Path) -> None:
        self._files = {content.name: Writer(content), offsets.name: Writer(offsets)}
        self._content, self._offsets = self._files.values()
        self._length = 0
        self._offsets.write(np.zeros(1, "<i8"))

    def write(self, texts: Sequence[bytes]) -> None:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        offsets = self._length + np.cumsum(lengths)
        self._content.write(b"".join(texts))
        self._offsets.write(offsets.astype("<i8"))
        self._length += int(lengths.sum())

    def finish(self) -> dict[str, Sum]:
        return {name: file.finish() for name, file in self._files.items()}


class IndexWriter:
    """Writes the index of one entity type's ids, the files `STEM.PART`; keeps 8 bytes an id in memory."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._paths = {part: folder / f"{stem}.{part}" for part in PARTS}
        self._strings = StringsWriter(self._paths["ids"], self._paths["offsets"])
        self._hashes: list[NDArray[np.uint64]] = []

    def write(self, ids: Sequence[str]) -> None:
        """The ids of the next rows."""
        encoded = [text.encode() for text in ids]
        self._strings.write(encoded)
        self._hashes.append(_hashes(encoded))

    def finish(self) -> dict[str, Sum]:
        """Raises InputError where an id occurs twice."""
        sums = self._strings.finish()
        hashes = np.concatenate([np.zeros(0, np.uint64), *self._hashes])
        rows = np.argsort(hashes, kind="stable").astype("<u4")
        hashes = hashes[rows].astype("<u8", copy=False)
        self._refuse_duplicates(hashes, rows)
        for part, array in (("hashes", hashes), ("rows", rows)):
            writer = Writer(self._paths[part])
            writer.write(array)
            sums[self._paths[part].name] = writer.finish()
        return sums

    def _refuse_duplicates(self, hashes: NDArray[np.uint64], rows: NDArray[np.uint32]) -> None:
        strings = Strings(self._paths["ids"], self._paths["offsets"])
        repeated = np.flatnonzero(hashes[1:] == hashes[:-1])
        for position in repeated.tolist():
            same = rows[np.searchsorted(hashes, hashes[position]) : position + 1]
            if (text := strings[int(rows[position + 1])]) in {strings[row] for row in same.tolist()}:
                raise InputError(f"entity id '{text}' occurs twice in one version; expected each once")


class IdIndex:
    """Finds the rows of one entity type's ids."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.ids = Strings(folder / f"{stem}.ids", folder / f"{stem}.offsets")
        self._hashes = mapped(folder / f"{stem}.hashes", "<u8")
        self._rows = mapped(folder / f"{stem}.rows", "<u4")

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row of each id (m,), NOT_FOUND where there is none."""
        encoded = [text.encode(errors="surrogatepass") for text in ids]
        hashes = _hashes(encoded)
        found = np.full(len(ids), NOT_FOUND, np.int64)
        if len(self._hashes):
            positions = self._hashes.searchsorted(hashes)
            proposed = self._hashes.take(positions, mode="clip") == hashes
            for i in np.flatnonzero(proposed).tolist():
                found[i] = self._row(encoded[i], int(positions[i]))
        return found

    def _row(self, text: bytes, position: int) -> int:
        """The row of an id among those whose hash is the one at a position, where the first of them stands."""
        start = position
        while position < len(self._hashes) and self._hashes[position] == self._hashes[start]:
            row = int(self._rows[position])
            if self.ids.encoded(row) == text:
                return row
            position += 1
        return NOT_FOUND


def _hashes(encoded: Sequence[bytes]) -> NDArray[np.uint64]:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, encoded), np.uint64, len(encoded))
