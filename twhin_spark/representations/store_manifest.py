"""The manifest of a stored version: what is in its folder, and what each file must be."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from twhin_spark.config.base import Measure
from twhin_spark.representations.checked_files import Sum, check_content, check_length
from twhin_spark.representations.errors import StoreError

NAME = "manifest.json"
RELATIONS = "relations.json"

Kind = Literal["dense", "sparse"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Relation(_Record):
    """The operator that ranks a relation's targets for a source, and how they are compared with what it makes of it.

    comparator: dot where the table was written by older code, which knew no other.
    """

    relation: str
    source_type: str
    target_type: str
    operator: str
    parameters: list[float]
    comparator: Annotated[Measure, BeforeValidator(lambda found: found or "dot")] = "dot"


class EntityType(_Record):
    """The entities of one type; the names of their files begin with `stem`."""

    stem: str
    rows: int


class Manifest(_Record):
    """The content of one stored version.

    dim: length of the vectors, or number of communities. table_version: Delta version that the store was built from.
    fingerprint: of that version's data files, so that a restored version is known again. built_at: UTC.
    """

    format: Literal[1] = 1
    family: str
    model_version: str
    table_version: int
    fingerprint: str
    kind: Kind
    dim: int
    types: dict[str, EntityType]
    files: dict[str, Sum]
    built_at: datetime

    def write(self, folder: Path) -> None:
        (folder / NAME).write_text(self.model_dump_json(indent=1))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises StoreError where there is no readable manifest."""
        path = folder / NAME
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; the store is incomplete") from None
        except ValidationError:
            raise StoreError(f"{path}: not a manifest of this format; the store is damaged") from None

    def check(self, folder: Path, *, content: bool) -> None:
        """Raises StoreError where a file is not what it must be: its length, with `content` also its checksum."""
        for name, expected in self.files.items():
            (check_content if content else check_length)(folder / name, expected)
