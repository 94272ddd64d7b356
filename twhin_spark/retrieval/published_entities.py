"""What the job reads from the tables: the entities with their vectors, and the conditions of the queries on them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.retrieval.published_version import Version, read_embeddings
from twhin_spark.retrieval.resolve_queries import check_predicates
from twhin_spark.retrieval.resolved_query import Asked, condition
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES

_KEY = ["entity_type", "entity_id"]
_TIMES = re.compile(r"\b(first_time|last_time)\b", re.IGNORECASE)


def read_entities(store: TableStore, version: Version, queries: Sequence[Asked]) -> DataFrame:
    """The entities of the version: type, id, place, key, embedding, and a column for each `condition`.

    Raises ConfigError where Spark refuses a condition.
    """
    entities = store.read(ENTITIES, version.graph.tables["entities"])
    texts = [text for query in queries for text in (query.sources, query.targets) if text]
    if any(_TIMES.search(text) for text in texts):
        entities = entities.join(_times(store, version), _KEY, "left")
    check_predicates(entities, queries)
    conditions = [
        F.coalesce(F.expr(text), F.lit(False)).alias(condition(query, end))
        if text
        else F.lit(True).alias(condition(query, end))
        for query in queries
        for end, text in (("sources", query.sources), ("targets", query.targets))
    ]
    picked = entities.select(*_KEY, "partition", "row", "entity_key", *conditions)
    return picked.join(read_embeddings(store, version), _KEY)


def _times(store: TableStore, version: Version) -> DataFrame:
    """When an entity's first and last training event happened."""
    edges = store.read(EDGES, version.graph.tables["edges"]).where("split = 'train'")
    ends = [
        edges.select(
            F.col(f"{end}_type").alias("entity_type"), F.col(f"{end}_id").alias("entity_id"), "first_time", "last_time"
        )
        for end in ("source", "target")
    ]
    times = F.min("first_time").alias("first_time"), F.max("last_time").alias("last_time")
    return ends[0].unionByName(ends[1]).groupBy(_KEY).agg(*times)
