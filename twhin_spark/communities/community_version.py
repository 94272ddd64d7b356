"""Published versions of the communities: rows of `community_versions` that name the versions of their tables."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyspark.sql import functions as F

from twhin_spark.errors import InputError
from twhin_spark.representations.errors import one_of
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import COMMUNITY_VERSIONS, KNOWN_FOR


@dataclass(frozen=True)
class CommunityVersion:
    """A published version. tables: Delta version of each table by name."""

    model_version: str
    tables: dict[str, int]


def find_current(store: TableStore) -> CommunityVersion | None:
    """Return the current version, or None if there is none."""
    if not store.exists(COMMUNITY_VERSIONS):
        return None
    row = store.read(COMMUNITY_VERSIONS).where(F.col("alias") == CURRENT).select("model_version", "tables").first()
    return None if row is None else CommunityVersion(row["model_version"], row["tables"])


def find_community_version(store: TableStore, name: str, setting: str) -> CommunityVersion:
    """Return a version by its name, or the current one. Raise InputError, which begins with `setting`, if none is."""
    if not store.exists(COMMUNITY_VERSIONS):
        raise InputError(f"{setting}: no communities in {store.path(COMMUNITY_VERSIONS)}; run communities first")
    rows = store.read(COMMUNITY_VERSIONS).select("model_version", "alias", "tables").collect()
    for row in rows:
        if name in (row["model_version"], row["alias"]):
            return CommunityVersion(row["model_version"], row["tables"])
    names = one_of({CURRENT, *(row["model_version"] for row in rows)})
    raise InputError(f"{setting}: version '{name}' of the communities was not published; use {names}")


def next_community(store: TableStore) -> int:
    """Return the first community id that no version has used, published or not, rolled back or not.

    Every commit of `known_for` carries the highest id until then as its metadata, which a restored table keeps in its
    history.
    """
    if not store.exists(KNOWN_FOR):
        return 0
    metadata = [row["userMetadata"] for row in store.history(KNOWN_FOR).select("userMetadata").collect()]
    return max((json.loads(text)["next_community"] for text in metadata if text), default=0)


def metadata_of(version: str, following: int) -> str:
    """Return the metadata of a commit of `known_for`, for `next_community`."""
    return json.dumps({"model_version": version, "next_community": following})
