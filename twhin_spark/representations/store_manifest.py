"""The manifest of a stored version: the content of its folder, with the length and checksum of each file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from twhin_spark.representations.checked_files import FileChecksum, check_content, check_length
from twhin_spark.representations.errors import StoreError
from twhin_spark.representations.published_family import FamilyKind

RELATIONS = "relations.json"
_NAME = "manifest.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredEntities(_Record):
    """The entities of one type. The names of their files begin with `stem`."""

    stem: str
    rows: int


class StoreManifest(_Record):
    """The content of one stored version.

    Attributes
    ----------
    family, model_version, kind
        Family, model version and kind of the representations.
    table_version
        Delta version that the store was built from.
    fingerprint
        Hash of the data files of that version, by which a restored version is recognised.
    dim
        Length of the vectors, or number of communities.
    types
        The entities by type.
    files
        Length and checksum by file name.
    built_at
        Time of the build, in UTC.
    spaces
        Of each model version in whose space vectors can be given, the file of the map: float64 (dim, dim), by row.
    """

    format: Literal[1] = 1
    family: str
    model_version: str
    table_version: int
    fingerprint: str
    kind: FamilyKind
    dim: int
    types: dict[str, StoredEntities]
    files: dict[str, FileChecksum]
    built_at: datetime
    spaces: dict[str, str] = {}

    def write(self, folder: Path) -> None:
        """Write the manifest to the store's folder."""
        (folder / _NAME).write_text(self.model_dump_json(indent=1))

    @classmethod
    def read(cls, folder: Path) -> StoreManifest:
        """Read the manifest of a store. Raises StoreError if it is missing or not of this format."""
        path = folder / _NAME
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; the store is incomplete") from None
        except ValidationError:
            raise StoreError(f"{path}: not a manifest of format 1; the store is damaged") from None

    def check(self, folder: Path, *, content: bool) -> None:
        """Check the length of each file and, if `content` is true, its checksum. Raises StoreError."""
        for name, checksum in self.files.items():
            (check_content if content else check_length)(folder / name, checksum)
