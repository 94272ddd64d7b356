"""The table `model_versions`: an index of the publications in the history of `embeddings`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, MODEL_VERSIONS, ddl

_KEPT = ("tags", "vacuumed_at")  # columns that only the commands of `versions` change


def index_versions(store: TableStore) -> int:
    """Add the publications that the table lacks, and mark the current version. Return the table's version.

    A publication is missing if its job was killed between its commit of `embeddings` and this. The commit has all that
    its row needs. If another commit of `embeddings` comes in between, the table is written again, so that whoever
    writes last has seen the latest commit.
    """
    while True:
        latest = store.version(EMBEDDINGS)
        assert latest is not None
        indexed = _index(store, latest)
        if store.version(EMBEDDINGS) == latest:
            return indexed


def find_publication(store: TableStore, model_version: str) -> Row | None:
    """Return the row of a version, or None if it was never published."""
    if not store.exists(MODEL_VERSIONS):
        return None
    rows = store.read(MODEL_VERSIONS).where(F.col("model_version") == model_version)
    if "aligned_to" not in rows.columns:
        rows = rows.withColumn("aligned_to", F.lit(None).cast("string"))
    return rows.first()


def _index(store: TableStore, latest: int) -> int:
    first = store.read(EMBEDDINGS, latest).select("model_version").first()
    current = first["model_version"] if first is not None else None
    known: dict[str, Row] = {}
    if store.exists(MODEL_VERSIONS):
        known = {row["model_version"]: row for row in store.read(MODEL_VERSIONS).collect()}
    newest = max((row["table_version"] for row in known.values()), default=-1)
    missing: dict[str, tuple[object, ...]] = {}
    commits = store.history(EMBEDDINGS).where((F.col("version") > newest) & F.col("userMetadata").isNotNull())
    for commit in commits.orderBy("version").collect():  # a later publication of a version replaces an earlier one
        about = json.loads(commit["userMetadata"])
        name = about.get("model_version")
        if "folded_in" in about and name in known and name not in missing:
            missing[name] = _moved(known[name], commit["version"])
        elif "folded_in" in about and name in missing:
            missing[name] = (name, commit["version"], *missing[name][2:])
        if "graph_id" in about:
            alias = CURRENT if about["model_version"] == current else None
            missing[about["model_version"]] = _row(about, commit["version"], commit["timestamp"], alias)
    marked = [row["model_version"] for row in known.values() if row["alias"] == CURRENT]
    version = store.version(MODEL_VERSIONS)
    if not missing and marked == [current] and version is not None:
        return version
    rows = store.spark.createDataFrame(list(missing.values()), ddl(MODEL_VERSIONS))
    is_current = f"CASE WHEN old.model_version = '{current}' THEN '{CURRENT}' END"
    return store.upsert(MODEL_VERSIONS, rows, "model_version", keep=_KEPT, others={"alias": is_current})


def _moved(row: Row, table_version: int) -> tuple[object, ...]:
    """Return a row of `model_versions` whose version has more entities since this commit."""
    values = {**row.asDict(), "table_version": table_version}
    return tuple(values.get(name) for name in MODEL_VERSIONS.names)


def _row(about: Mapping[str, Any], table_version: int, published_at: object, alias: str | None) -> tuple[object, ...]:
    """Return a row of `model_versions` from what a publication's commit carries."""

    def text(key: str) -> str | None:
        return None if about.get(key) is None else json.dumps(about[key])

    return (
        about["model_version"],
        table_version,
        about["run_id"],
        about["graph_id"],
        published_at,
        alias,
        text("metrics"),
        text("config"),
        None,
        about.get("started_from"),
        about.get("aligned_to"),
        about.get("code_version"),
        text("gates"),
        text("forced"),
        None,
    )
