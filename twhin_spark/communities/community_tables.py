"""Writing of the tables of a version of the communities; `publish`, the last write, makes it the current one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from twhin_spark.communities.community_version import metadata_of
from twhin_spark.communities.consumer_edges import ConsumerEdges
from twhin_spark.communities.embeddings import as_maps, interested_in, item_embeddings, producer_embeddings
from twhin_spark.communities.known_for import Identified, KnownFor, statistics
from twhin_spark.communities.previous_communities import PreviousCommunities
from twhin_spark.communities.similarity import Similarity
from twhin_spark.config import Config
from twhin_spark.config.communities_consistency import consumer_types, item_type
from twhin_spark.graph.entity_location import location_column
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.kernels.arrays import Integers
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.tables.caching import cache
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import (
    COMMUNITIES,
    COMMUNITY_INDEX,
    COMMUNITY_VERSIONS,
    EDGES,
    ENTITIES,
    INTERESTED_IN,
    ITEM_EMBEDDINGS,
    KNOWN_FOR,
    PRODUCER_EMBEDDINGS,
    Table,
    ddl,
)

_MEMBERS = 20  # of a community, in the table `communities`
_CHANGES = ("same", "changed", "new", "lost")


class CommunityTables:
    """The tables of one version.

    Attributes
    ----------
    versions
        Delta version by name of each table that has been written.
    """

    def __init__(self, store: TableStore, config: Config, graph: GraphVersion, version: str, caches: ExitStack) -> None:
        assert config.communities is not None
        self.versions: dict[str, int] = {}
        self._store, self._graph, self._version, self._caches = store, graph, version, caches
        self._settings = config.communities
        self._consumer, self._producer = consumer_types(config)
        self._item = item_type(config)
        entities = store.read(ENTITIES, graph.tables["entities"])
        self._entities = entities.select("entity_type", "entity_id", location_column().alias("location"))

    def write_known_for(self, similarity: Similarity, known_for: KnownFor, identified: Identified) -> None:
        """Write `known_for`. Its commit carries the next id, so that no later version uses those of this one."""
        member = identified.community >= 0
        columns = {
            "producer": similarity.location,
            "community": identified.community,
            "affiliation": known_for.affiliation,
            "weight": known_for.weight,
            "consumers": similarity.consumers,
        }
        rows = self._frame({name: column[member] for name, column in columns.items()})
        self._write(KNOWN_FOR, self._named(rows, "producer"), metadata_of(self._version, identified.next_community))

    def write_communities(
        self, similarity: Similarity, community: Integers, before: PreviousCommunities
    ) -> dict[str, int]:
        """Write `communities`; return the number of same, changed, new and lost ones."""
        stats = statistics(similarity.matrix, community)
        changes = before.changes(similarity.location, community)
        ids = stats.community.tolist()
        rows = self._frame(
            {
                "community": stats.community,
                "size": stats.size,
                "recall": stats.recall,
                "precision": stats.precision,
                "conductance": stats.conductance,
                "born": [before.born.get(name, self._version) for name in ids],
                "change": [changes[name] for name in ids],
            }
        )
        known_for = self._store.read(KNOWN_FOR, self.versions["known_for"])
        heaviest = F.array_sort(F.collect_list(F.struct((-F.col("weight")).alias("order"), "entity_id")))
        members = F.transform(
            F.slice(heaviest, 1, _MEMBERS),
            lambda member: F.struct(member["entity_id"].alias("entity_id"), (-member["order"]).alias("weight")),
        )
        listed = known_for.groupBy("community").agg(members.alias("members"))
        self._write(COMMUNITIES, rows.join(listed, "community"))
        counted = Counter(changes.values())
        return {change: counted[change] for change in _CHANGES}

    def write_embeddings(self, edges: ConsumerEdges, known_for: DataFrame) -> dict[str, int]:
        """Write the representations and the index; return the number of entities by table.

        known_for: columns producer, community and known_for.
        """
        scale = F.lit(2.0**edges.exponent)
        interests = cache(interested_in(edges, known_for, self._settings.interested_in), self._caches)
        true_interests = self._named(interests.withColumn("weight", F.col("weight") * scale), "consumer")
        true_interests = cache(true_interests, self._caches)
        self._write_maps(INTERESTED_IN, true_interests)
        producers = producer_embeddings(edges, interests, self._settings.producers)
        self._write_maps(PRODUCER_EMBEDDINGS, self._named(producers, "producer"))
        if self._settings.items and self._item:
            engagements = self._store.read(EDGES, self._graph.tables["edges"]).where("split = 'train'")
            by_id = true_interests.select(F.col("entity_id").alias("consumer_id"), "community", "weight")
            items = item_embeddings(engagements, by_id, self._settings.items, self._graph.reference_time)
            named = items.withColumn("entity_type", F.lit(self._item)).withColumnRenamed("item", "entity_id")
            self._write_maps(ITEM_EMBEDDINGS, named)
        self._write_index()
        names = [table.name for table in (INTERESTED_IN, PRODUCER_EMBEDDINGS, ITEM_EMBEDDINGS)]
        tables = {name: self.versions[name] for name in names if name in self.versions}
        return {
            name: self._store.read(table, tables[name]).count()
            for name, table in ((t.name, t) for t in (INTERESTED_IN, PRODUCER_EMBEDDINGS, ITEM_EMBEDDINGS))
            if name in tables
        }

    def publish(self, details: Mapping[str, Any]) -> int:
        """Write the version's row of `community_versions`, and return the commit's version.

        details: the columns that only the job knows.
        """
        values = {
            "model_version": self._version,
            "published_at": datetime.now(UTC),
            "alias": CURRENT,
            "graph_id": self._graph.graph_id,
            "tables": self.versions,
            **details,
        }
        row = tuple(values[name] for name in COMMUNITY_VERSIONS.names)
        rows = self._store.spark.createDataFrame([row], ddl(COMMUNITY_VERSIONS))
        if self._store.exists(COMMUNITY_VERSIONS):
            others = self._store.read(COMMUNITY_VERSIONS).where(F.col("model_version") != self._version)
            rows = others.withColumn("alias", F.lit(None).cast("string")).unionByName(rows)
        return self._store.overwrite(COMMUNITY_VERSIONS, rows)

    def _write_index(self) -> None:
        """Write `community_index` from the representations of producers and items."""
        tables = [table for table in (PRODUCER_EMBEDDINGS, ITEM_EMBEDDINGS) if table.name in self.versions]
        rows = None
        for table in tables:
            embeddings = self._store.read(table, self.versions[table.name])
            entries = embeddings.select("entity_type", "entity_id", F.explode("embedding").alias("community", "weight"))
            # Where producers are items, too, the community's list has the items.
            if table is PRODUCER_EMBEDDINGS and self._item == self._producer and len(tables) > 1:
                continue
            rows = entries if rows is None else rows.unionByName(entries)
        assert rows is not None
        heaviest = Window.partitionBy("community", "entity_type").orderBy(F.col("weight").desc(), "entity_id")
        ranked = rows.withColumn("rank", F.row_number().over(heaviest))
        self._write(COMMUNITY_INDEX, ranked.where(F.col("rank") <= self._settings.index.top))

    def _write_maps(self, table: Table, rows: DataFrame) -> None:
        self._write(table, as_maps(rows, ["entity_type", "entity_id"]))

    def _write(self, table: Table, rows: DataFrame, metadata: str | None = None) -> None:
        rows = rows.withColumn("model_version", F.lit(self._version))
        self.versions[table.name] = self._store.overwrite(table, rows, user_metadata=metadata)

    def _named(self, rows: DataFrame, end: str) -> DataFrame:
        """Replace the location of a consumer or producer by its type and id."""
        entity_type = self._consumer if end == "consumer" else self._producer
        entities = self._entities.where(F.col("entity_type") == entity_type).withColumnRenamed("location", end)
        return rows.join(entities, end).drop(end)

    def _frame(self, columns: Mapping[str, Any]) -> DataFrame:
        return self._store.spark.createDataFrame(pa.table(columns))
