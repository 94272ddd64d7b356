"""Listing of folders: of this machine, and at URIs that Spark can read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Entry:
    name: str
    is_folder: bool
    size: int


class Lister(Protocol):
    """A way to list folders."""

    def find(self, location: str) -> Entry | None:
        """Return the file or folder at a location, or None."""

    def list(self, folder: str) -> list[Entry]:
        """Return what lies in a folder, sorted by name."""


class LocalLister:
    """Listing of folders of this machine. Links are followed."""

    def find(self, location: str) -> Entry | None:
        try:
            status = Path(location).stat()
        except (OSError, ValueError):
            return None
        return Entry(Path(location).name, stat.S_ISDIR(status.st_mode), status.st_size)

    def list(self, folder: str) -> list[Entry]:
        entries = (self.find(f"{folder}/{name}") for name in sorted(os.listdir(folder)))  # noqa: PTH208
        return [entry for entry in entries if entry is not None]  # a link may lead nowhere


class HadoopLister:
    """Listing of folders at URIs, by Hadoop's file systems, which are the ones that Spark reads from."""

    def __init__(self, spark: Any) -> None:
        self._jvm = spark._jvm
        self._conf = spark._jsc.hadoopConfiguration()

    def find(self, location: str) -> Entry | None:
        path = self._jvm.org.apache.hadoop.fs.Path(location)
        file_system = path.getFileSystem(self._conf)
        return _entry(file_system.getFileStatus(path)) if file_system.exists(path) else None

    def list(self, folder: str) -> list[Entry]:
        path = self._jvm.org.apache.hadoop.fs.Path(folder)
        return sorted(map(_entry, path.getFileSystem(self._conf).listStatus(path)), key=lambda entry: entry.name)


def _entry(status: Any) -> Entry:
    return Entry(status.getPath().getName(), status.isDirectory(), status.getLen())


def is_hidden(name: str) -> bool:
    """Return True for a name that Spark does not see in a folder."""
    return (name.startswith("_") and "=" not in name) or name.startswith(".") or name.endswith("._COPYING_")


def is_utf8(location: str) -> bool:
    """Return True if a location, whose bytes may be any on this machine, can be passed on as text."""
    try:
        location.encode()
    except UnicodeEncodeError:
        return False
    return True
