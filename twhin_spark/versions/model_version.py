"""A published version as training, evaluation and publishing read it: by name, with its vectors and relations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from twhin_spark.errors import InputError
from twhin_spark.representations.version_lookup import CURRENT, VERSION_COLUMNS, find_version_row
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, MODEL_VERSIONS, RELATIONS
from twhin_spark.versions.vector_columns import ENTITY
from twhin_spark.versions.version_relation import VersionRelation


@dataclass(frozen=True)
class ModelVersion:
    """A published version.

    Attributes
    ----------
    name
        Name of the version.
    table_version
        Delta version of `embeddings` that holds its rows.
    run_id, graph_id
        The run that trained it, and that run's graph.
    """

    name: str
    table_version: int
    run_id: str
    graph_id: str


def current_version(store: TableStore) -> ModelVersion | None:
    """Return the version that `embeddings` holds now, or None if nothing is published.

    A publication that was killed before its row of `model_versions` is found by the commit of `embeddings`.
    """
    latest = store.version(EMBEDDINGS)
    if latest is None:
        return None
    first = store.read(EMBEDDINGS, latest).select("model_version").first()
    if first is None:
        raise InputError(f"{store.path(EMBEDDINGS)}: the current version has no rows; publish a run")
    name = first["model_version"]
    rows = version_rows(store, ["model_version", "run_id", "graph_id"])
    for row in rows:
        if row["model_version"] == name:
            return _version(row, latest)
    for commit in store.history(EMBEDDINGS).where("userMetadata IS NOT NULL").orderBy(F.desc("version")).collect():
        about = json.loads(commit["userMetadata"])
        if about.get("model_version") == name and "graph_id" in about:
            return ModelVersion(name, latest, about["run_id"], about["graph_id"])
    raise InputError(f"{store.path(MODEL_VERSIONS)}: no row for the current version '{name}'; publish its run again")


def find_model_version(store: TableStore, name: str, setting: str) -> ModelVersion:
    """Return a version by model version, tag or alias.

    Parameters
    ----------
    store
        The tables.
    name
        The name. `current` is the version that `embeddings` holds now.
    setting
        Config key or option at which an error message starts.

    Raises
    ------
    InputError
        No version has that name.
    """
    current = current_version(store)
    if current is None:
        raise InputError(f"{setting}: no version is published in {store.path(EMBEDDINGS)}; publish a run first")
    if name in (CURRENT, current.name):
        return current
    row = find_version_row(version_rows(store), name, setting)
    return _version(row, row["table_version"])


def _version(row: Row, table_version: int) -> ModelVersion:
    """Return a version from its row of `model_versions`, which other tools may have written without run and graph."""
    run_id, graph_id = (row[name] if name in row else "" for name in ("run_id", "graph_id"))  # noqa: SIM401
    return ModelVersion(row["model_version"], table_version, run_id or row["model_version"], graph_id)


def version_rows(store: TableStore, columns: Sequence[str] = (*VERSION_COLUMNS, "run_id", "graph_id")) -> list[Row]:
    """Return these columns of the rows of `model_versions`, of those that the table has."""
    if not store.exists(MODEL_VERSIONS):
        return []
    rows = store.read(MODEL_VERSIONS)
    return rows.select(*[name for name in columns if name in rows.columns]).collect()


def read_vectors(store: TableStore, version: ModelVersion) -> DataFrame:
    """Return entity_type, entity_id, embedding and degree of the version's rows."""
    return store.read(EMBEDDINGS, version.table_version).select(*ENTITY, "embedding", "degree")


def read_relations(store: TableStore, version: ModelVersion) -> dict[str, VersionRelation]:
    """Return the version's relations by name."""
    rows = store.read(RELATIONS).where(F.col("model_version") == version.name).orderBy("relation", "side").collect()
    relations: dict[str, VersionRelation] = {}
    for row in rows:
        empty = VersionRelation(row["source_type"], row["target_type"], row["operator"], {})
        relations.setdefault(row["relation"], empty).parameters[row["side"]] = list(row["parameters"])
    return relations
