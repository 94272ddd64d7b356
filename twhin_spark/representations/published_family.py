"""Families of representations: their names, their Delta tables and the latest commit of a table.

This module does not import `published_table`, so that a service that only polls for commits does not load the code that
reads whole tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from twhin_spark.errors import InputError
from twhin_spark.representations.errors import first_line

DEFAULT_FAMILY = "twhin"
"""Name of the family that `twhin-spark publish` writes."""

FamilyKind: TypeAlias = Literal["dense", "sparse"]
"""Vectors, or weights by community."""


@dataclass(frozen=True)
class PublishedFamily:
    """Representations that are published together.

    Attributes
    ----------
    name
        Name of the family.
    table
        Path or URI of the Delta table of representations. Each commit is one version.
    relations
        Path or URI of the table of the relations' parameters; None if the family has no relations.
    versions
        Path or URI of the table of versions; None if the family has none, so that only `current` can be read.
    alignments
        Path or URI of the table of maps between versions; None if the family has none.
    pinned
        True if the current version, too, is the one that the table of versions names: each of its rows pins the Delta
        versions of several tables, of which this family's is the one of its name. False if it is the latest commit.
    """

    name: str
    table: str
    relations: str | None = None
    versions: str | None = None
    alignments: str | None = None
    pinned: bool = False

    @property
    def polled(self) -> str:
        """The table whose commits make a version current."""
        return self.versions if self.pinned and self.versions else self.table


def latest_commit(table: str) -> int:
    """Return the number of a table's latest commit. Raises InputError if the table cannot be read."""
    try:
        return DeltaTable(table).version()
    except TableNotFoundError:
        raise not_published(table) from None
    except (DeltaError, OSError) as error:
        raise InputError(f"{table}: cannot read the table: {first_line(error)}") from None


def not_published(table: str) -> InputError:
    """Return the error for a table that does not exist."""
    return InputError(f"{table}: no Delta table; run `twhin-spark publish` to write it")
