"""Which published version is asked, and the tables that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.errors import InputError
from twhin_spark.graph.graph_version import GraphVersion, find_graph
from twhin_spark.retrieval.resolved_query import Parameters
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, MODEL_VERSIONS, RELATIONS

CURRENT = "current"


@dataclass(frozen=True)
class Version:
    """A published version.

    table_version: Delta version of `embeddings` that holds it. published: the one that published it, which is another
    after a rollback. relations: by name, as they rank targets.
    """

    model_version: str
    table_version: int
    published: int
    graph: GraphVersion
    relations: Mapping[str, Parameters]


def find_version(store: TableStore, name: str) -> Version:
    """The version of that name or alias; `current` is what `embeddings` holds now, so after a rollback the restored.

    Raises InputError where there is no such version, or its graph is gone.
    """
    if not store.exists(EMBEDDINGS) or not store.exists(MODEL_VERSIONS):
        raise InputError(f"no published version in {store.path(EMBEDDINGS)}; run publish first")
    versions = store.read(MODEL_VERSIONS).select("model_version", "alias", "table_version", "graph_id")
    rows = versions.orderBy(F.desc("table_version")).collect()
    latest = store.version(EMBEDDINGS)
    assert latest is not None
    if name == CURRENT:
        first = store.read(EMBEDDINGS, latest).select("model_version").first()
        if first is None:
            raise InputError(f"{store.path(EMBEDDINGS)}: the current version has no rows; publish a run")
        name = first["model_version"]
        found = next((row for row in rows if row["model_version"] == name), None)
        table_version = latest
    else:
        found = next((row for row in rows if name in (row["model_version"], row["alias"])), None)
        table_version = found["table_version"] if found else 0
    if found is None:
        names = ", ".join(sorted({CURRENT, *(row["model_version"] for row in rows)}))
        raise InputError(f"retrieval.version: found '{name}'; allowed: one of {names}")
    relations = {
        row["relation"]: Parameters(row["operator"], tuple(row["parameters"]), row.asDict().get("comparator") or "dot")
        for row in store.read(RELATIONS)
        .where((F.col("model_version") == found["model_version"]) & (F.col("side") == "target"))
        .collect()  # tables of older code have no comparators
    }
    graph = find_graph(store, found["graph_id"])
    return Version(found["model_version"], table_version, found["table_version"], graph, relations)


def read_embeddings(store: TableStore, version: Version) -> DataFrame:
    """The version's rows: entity_type, entity_id, embedding."""
    return store.read(EMBEDDINGS, version.table_version).select("entity_type", "entity_id", "embedding")
