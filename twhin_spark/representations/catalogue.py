"""The catalogue of a family's stores: which folder is which version. What it does not name is not served.

It is replaced as a whole by a rename, so a reader finds the one from before a change or the one from after it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from twhin_spark.representations.checked_files import sync_folder
from twhin_spark.representations.errors import StoreError

CURRENT = "current"
_NAME = "catalogue.json"
_LOCK = "lock"


class Entry(BaseModel):
    """A finished store. table_version: the latest Delta version that holds it."""

    model_config = ConfigDict(frozen=True)

    folder: str
    model_version: str
    table_version: int


class Catalogue(BaseModel):
    """entries: the stores, the one that was made current last first. aliases: folder by alias, such as `current`."""

    model_config = ConfigDict(frozen=True)

    entries: list[Entry] = []
    aliases: dict[str, str] = {}

    @classmethod
    def read(cls, folder: Path) -> Catalogue:
        """That of a family's folder, an empty one where there is none."""
        try:
            return cls.model_validate_json((folder / _NAME).read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError):
            raise StoreError(f"{folder / _NAME}: cannot be read; the store is damaged") from None

    def write(self, folder: Path) -> None:
        path = folder / _NAME
        new = path.with_suffix(".new")
        with new.open("w") as file:
            file.write(self.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        sync_folder(folder)

    def with_entry(self, entry: Entry, alias: str) -> Catalogue:
        """The catalogue in which the alias stands for the entry, which comes first if it is the current one."""
        others = [other for other in self.entries if other.folder != entry.folder]
        entries = [entry, *others] if alias == CURRENT else [*others, entry]
        return Catalogue(entries=entries, aliases={**self.aliases, alias: entry.folder})

    def pruned(self, keep: int, aliases: set[str]) -> Catalogue:
        """The catalogue with no other aliases, and no more than `keep` stores and those that an alias stands for."""
        kept = {alias: folder for alias, folder in self.aliases.items() if alias in aliases}
        entries = [entry for i, entry in enumerate(self.entries) if i < keep or entry.folder in kept.values()]
        return Catalogue(entries=entries, aliases=kept)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a family's folder against other processes; the lock goes when its process does, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sweep(folder: Path, catalogue: Catalogue) -> None:
    """Removes what the catalogue does not name; whoever has mapped such files keeps them. Under the lock only."""
    named = {entry.folder for entry in catalogue.entries}
    for path in folder.iterdir():
        if path.is_dir() and path.name not in named:
            shutil.rmtree(path, ignore_errors=True)
