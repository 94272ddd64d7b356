"""Files of arrays by which the tasks of an evaluation share results. Used on the driver and on workers."""

from __future__ import annotations

import io
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pyarrow import fs

from twhin_spark.locations import absolute

Arrays = dict[str, NDArray[Any]]


class Scratch:
    """A folder of named groups of arrays, at a local path or a URI that pyarrow.fs knows. Names may contain slashes."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._fs, self._root = fs.FileSystem.from_uri(absolute(location))

    def folder(self, name: str) -> Scratch:
        """Return a folder inside this one, which is removed with it."""
        return Scratch(f"{self._location}/{name}")

    def write(self, name: str, **arrays: NDArray[Any]) -> None:
        """Write a group of arrays at once, so that a reader never sees half of it, even if a task runs twice."""
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        path = f"{self._root}/{name}"
        folder, _, base = path.rpartition("/")
        self._fs.create_dir(folder)
        attempt = f"{folder}/.{base}-{uuid4().hex[:12]}"
        with self._fs.open_output_stream(attempt) as stream:
            stream.write(content.getbuffer())
        self._fs.move(attempt, path)

    def read(self, name: str) -> Arrays:
        """Read the arrays of a group, by name. Raises FileNotFoundError if the group was not written."""
        with self._fs.open_input_file(f"{self._root}/{name}") as stream, np.load(io.BytesIO(stream.read())) as arrays:
            return dict(arrays)

    def has(self, name: str) -> bool:
        """Return whether a group was written."""
        return bool(self._fs.get_file_info(f"{self._root}/{name}").type == fs.FileType.File)

    def remove(self) -> None:
        """Delete the folder and its content, if it exists."""
        if self._fs.get_file_info(self._root).type == fs.FileType.Directory:
            self._fs.delete_dir(self._root)
