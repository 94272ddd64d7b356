"""The arguments of `sync_store.sync_family`, as the service passes them to a process of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from twhin_spark.representations.published_family import PublishedFamily


class SyncArguments(BaseModel):
    """The arguments of `sync_family`. They are apart from it, so that the service does not load what builds stores."""

    root: Path
    family: PublishedFamily
    names: list[str]
    keep: int
    verify: bool
