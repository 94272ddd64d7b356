"""Where a family of representations is published, and whether there is something new.

Apart from `published`, so that a service that only watches does not carry what it takes to read the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from pydantic import BaseModel

from twhin_spark.errors import InputError
from twhin_spark.representations.errors import first_line


@dataclass(frozen=True)
class Family:
    """Representations that are published together.

    table: path or URI of their Delta table, one commit a version. relations: of that of the relations' parameters, or
    None. index: of that of the versions, for names other than `current`, or None.
    """

    name: str
    table: str
    relations: str | None = None
    index: str | None = None


class Order(BaseModel):
    """The arguments of `sync` on their way to a process of its own."""

    root: Path
    family: Family
    names: list[str]
    keep: int
    verify: bool


def latest_commit(table: str) -> int:
    """The number of a table's latest commit; raises InputError where there is no table."""
    try:
        return DeltaTable(table).version()
    except TableNotFoundError:
        raise InputError(f"{table}: no Delta table; `twhin-spark publish` writes it") from None
    except (DeltaError, OSError) as error:
        raise InputError(f"{table}: cannot be read: {first_line(error)}") from None
