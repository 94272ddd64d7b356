"""The published version whose vectors are searched, and the tables that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from twhin_spark.errors import InputError
from twhin_spark.graph.graph_version import GraphVersion, find_graph
from twhin_spark.representations.version_lookup import CURRENT, PublishedRelation, find_version_row
from twhin_spark.retrieval.resolved_query import RelationOperator
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, MODEL_VERSIONS, RELATIONS


@dataclass(frozen=True)
class PublishedVersion:
    """A published version.

    Attributes
    ----------
    model_version
        Name of the version.
    table_version
        Delta version of `embeddings` that holds it.
    published
        Delta version of `embeddings` that published it; after a rollback it differs from `table_version`.
    graph
        Graph version that it was trained on.
    relations
        Operators for ranking targets, by relation.
    """

    model_version: str
    table_version: int
    published: int
    graph: GraphVersion
    relations: Mapping[str, RelationOperator]


def find_version(store: TableStore, name: str) -> PublishedVersion:
    """Return a version by model version or alias. `current` is the version that `embeddings` holds now.

    Raises
    ------
    InputError
        No version has that name, or its graph is gone.
    """
    if not store.exists(EMBEDDINGS) or not store.exists(MODEL_VERSIONS):
        raise InputError(f"no published version in {store.path(EMBEDDINGS)}; run publish first")
    rows = store.read(MODEL_VERSIONS).select("model_version", "alias", "table_version", "graph_id").collect()
    latest = store.version(EMBEDDINGS)
    assert latest is not None
    if name == CURRENT:
        first = store.read(EMBEDDINGS, latest).select("model_version").first()
        if first is None:
            raise InputError(f"{store.path(EMBEDDINGS)}: the current version has no rows; publish a run")
        name = first["model_version"]
        row: Row = find_version_row(rows, name, "retrieval.version")
        table_version = latest
    else:
        row = find_version_row(rows, name, "retrieval.version")
        table_version = row["table_version"]
    graph = find_graph(store, row["graph_id"])
    relations = _relations(store, row["model_version"])
    return PublishedVersion(row["model_version"], table_version, row["table_version"], graph, relations)


def read_embeddings(store: TableStore, version: PublishedVersion) -> DataFrame:
    """Return the version's rows: entity_type, entity_id, embedding."""
    return store.read(EMBEDDINGS, version.table_version).select("entity_type", "entity_id", "embedding")


def _relations(store: TableStore, model_version: str) -> dict[str, RelationOperator]:
    rows = store.read(RELATIONS).where((F.col("model_version") == model_version) & (F.col("side") == "target"))
    rows = rows.select(*PublishedRelation.columns(rows.columns))
    relations = [PublishedRelation(**row.asDict()) for row in rows.collect()]
    return {r.relation: RelationOperator(r.operator, tuple(r.parameters), r.comparator) for r in relations}
