"""Reading the entities of a published version with their vectors, and the queries' conditions on them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.retrieval.community_columns import CommunityColumns
from twhin_spark.retrieval.published_version import PublishedVersion, read_embeddings
from twhin_spark.retrieval.resolve_queries import check_conditions
from twhin_spark.retrieval.resolved_query import ResolvedQuery, condition_column
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES

_KEY = ["entity_type", "entity_id"]
_TIMES = re.compile(r"\b(first_time|last_time)\b", re.IGNORECASE)


def read_entities(
    store: TableStore,
    version: PublishedVersion,
    queries: Sequence[ResolvedQuery],
    communities: CommunityColumns | None = None,
) -> DataFrame:
    """Return the entities of the version.

    Columns: entity_type, entity_id, partition, row, entity_key, embedding, and a boolean `condition_column` for each
    end of each query; with `communities` also its columns.

    Raises
    ------
    ConfigError
        Spark rejects a condition.
    """
    entities = store.read(ENTITIES, version.graph.tables["entities"])
    ends = [(query, *end) for query in queries for end in query.ends]
    if any(condition and _TIMES.search(condition) for *_, condition in ends):
        entities = entities.join(_times(store, version), _KEY, "left")
    check_conditions(entities, queries)
    conditions = [
        (F.coalesce(F.expr(condition), F.lit(False)) if condition else F.lit(True)).alias(condition_column(query, end))
        for query, end, _, condition in ends
    ]
    entities = entities.select(*_KEY, "partition", "row", "entity_key", *conditions)
    entities = entities.join(read_embeddings(store, version), _KEY)
    return communities.add(entities) if communities else entities


def _times(store: TableStore, version: PublishedVersion) -> DataFrame:
    """Return the times of each entity's first and last training event."""
    edges = store.read(EDGES, version.graph.tables["edges"]).where("split = 'train'")
    ends = [
        edges.select(
            F.col(f"{end}_type").alias("entity_type"), F.col(f"{end}_id").alias("entity_id"), "first_time", "last_time"
        )
        for end in ("source", "target")
    ]
    times = F.min("first_time").alias("first_time"), F.max("last_time").alias("last_time")
    return ends[0].unionByName(ends[1]).groupBy(_KEY).agg(*times)
