"""The arguments of `sync_store.sync_family`, as the service passes them to a separate process."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from twhin_spark.representations.published_family import PublishedFamily


class SyncArguments(BaseModel):
    """The arguments of `sync_family`.

    They have a module of their own, so that the service does not load the code that builds stores.
    """

    root: Path
    family: PublishedFamily
    names: list[str]
    keep: int
    verify: bool
