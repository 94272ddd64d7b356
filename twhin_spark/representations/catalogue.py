"""The catalogue of a family's stores: the version in each folder. Only folders that it lists are served.

A change replaces the whole file by a rename, so that a reader sees the catalogue before the change or after it.
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
from twhin_spark.representations.version_lookup import CURRENT

_NAME = "catalogue.json"
_LOCK = "lock"


class CatalogueEntry(BaseModel):
    """A finished store. table_version: the latest Delta version that holds its rows."""

    model_config = ConfigDict(frozen=True)

    folder: str
    model_version: str
    table_version: int


class Catalogue(BaseModel):
    """The stores of a family.

    Attributes
    ----------
    entries
        The stores. The first is the one that became current last.
    aliases
        Folder by alias, such as `current`.
    """

    model_config = ConfigDict(frozen=True)

    entries: list[CatalogueEntry] = []
    aliases: dict[str, str] = {}

    @classmethod
    def read(cls, folder: Path) -> Catalogue:
        """Read the catalogue of a family's folder; return an empty one if there is none. Raises StoreError."""
        try:
            return cls.model_validate_json((folder / _NAME).read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError):
            raise StoreError(f"{folder / _NAME}: cannot read the catalogue; the store is damaged") from None

    def write(self, folder: Path) -> None:
        """Write the catalogue, durably and all at once."""
        path = folder / _NAME
        new = path.with_suffix(".new")
        with new.open("w") as file:
            file.write(self.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        sync_folder(folder)

    def with_entry(self, entry: CatalogueEntry, alias: str) -> Catalogue:
        """Return a catalogue in which the alias means the entry. A current entry becomes the first."""
        others = [other for other in self.entries if other.folder != entry.folder]
        entries = [entry, *others] if alias == CURRENT else [*others, entry]
        return Catalogue(entries=entries, aliases={**self.aliases, alias: entry.folder})

    def pruned(self, keep: int, aliases: set[str]) -> Catalogue:
        """Return a catalogue with these aliases alone, the first `keep` stores, and the stores of the aliases."""
        kept = {alias: folder for alias, folder in self.aliases.items() if alias in aliases}
        entries = [entry for i, entry in enumerate(self.entries) if i < keep or entry.folder in kept.values()]
        return Catalogue(entries=entries, aliases=kept)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock a family's folder against other processes. The lock ends with the process, however the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove_unlisted(folder: Path, catalogue: Catalogue) -> None:
    """Remove the folders that the catalogue does not list. Call it only under the lock.

    A process that has mapped a removed file keeps its content.
    """
    listed = {entry.folder for entry in catalogue.entries}
    for path in folder.iterdir():
        if path.is_dir() and path.name not in listed:
            shutil.rmtree(path, ignore_errors=True)
