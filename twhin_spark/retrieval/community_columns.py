"""Columns of entities for queries by communities: the representations, and the communities that list an entity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.communities.community_version import CommunityVersion, find_community_version
from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.kernels.arrays import Integers
from twhin_spark.representations.errors import one_of
from twhin_spark.retrieval.resolved_query import LISTED, ResolvedQuery
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import COMMUNITIES, COMMUNITY_INDEX, COMMUNITY_TABLES

_KEY = ["entity_type", "entity_id"]


@dataclass(frozen=True)
class CommunityColumns:
    """Adds columns to entities.

    Attributes
    ----------
    store, version
        The tables, and the version of the communities.
    families
        The representations that some query needs.
    targets
        Number of entities in a community's list that are searched.
    """

    store: TableStore
    version: CommunityVersion
    families: tuple[str, ...]
    targets: int

    @classmethod
    def find(cls, store: TableStore, config: Config, queries: Sequence[ResolvedQuery]) -> CommunityColumns | None:
        """Return the columns that the queries need, or None if none searches communities.

        Raises
        ------
        InputError
            The version was not published, or has no representations of some kind.
        """
        by_communities = [query for query in queries if query.families]
        if not by_communities:
            return None
        settings = config.retrieval.communities
        version = find_community_version(store, settings.version, "retrieval.communities.version")
        for query in by_communities:
            for family in query.families:
                if family not in version.tables:
                    known = one_of([table.name for table in COMMUNITY_TABLES if table.name in version.tables])
                    raise InputError(
                        f"retrieval.queries.{query.name}: version {version.model_version} of the communities has no "
                        f"{family}, only {known}; run communities with this config"
                    )
        families = tuple(sorted({family for query in by_communities for family in query.families}))
        return cls(store, version, families, settings.targets)

    def add(self, entities: DataFrame) -> DataFrame:
        """Return the entities with a column of each family, a map or null, and LISTED, the ids of communities."""
        for family in self.families:
            table = next(table for table in COMMUNITY_TABLES if table.name == family)
            rows = self.store.read(table, self.version.tables[family])
            entities = entities.join(rows.select(*_KEY, F.col("embedding").alias(family)), _KEY, "left")
        index = self.store.read(COMMUNITY_INDEX, self.version.tables["community_index"])
        listed = index.where(F.col("rank") <= self.targets).groupBy(_KEY).agg(F.collect_set("community").alias(LISTED))
        return entities.join(listed, _KEY, "left")

    def communities(self) -> Integers:
        """Return the ids of all communities, ascending."""
        rows = self.store.read(COMMUNITIES, self.version.tables["communities"]).select("community").toArrow()
        return np.sort(rows["community"].to_numpy())
