"""The communities of the current version, from which a search starts and whose ids it keeps. On the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from twhin_spark.communities.community_version import CommunityVersion, next_community
from twhin_spark.communities.known_for import NO_COMMUNITY, Identified, identify
from twhin_spark.config import Config
from twhin_spark.config.communities_consistency import consumer_types
from twhin_spark.graph.entity_location import location_column, positions_in
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.kernels.arrays import Integers
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import COMMUNITIES, ENTITIES, KNOWN_FOR


@dataclass(frozen=True)
class PreviousCommunities:
    """The communities of a version.

    Attributes
    ----------
    version
        Name of the version; None if there is none.
    location, community
        int64 (m,): producers, ascending, and the ids of their communities.
    born
        Version in which a community appeared, by id.
    next_community
        First id that no version has used.
    """

    version: str | None = None
    location: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    community: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    born: Mapping[int, str] = field(default_factory=dict)
    next_community: int = 0

    @classmethod
    def read(
        cls, store: TableStore, config: Config, graph: GraphVersion, current: CommunityVersion | None
    ) -> PreviousCommunities:
        """Read the current version's communities."""
        following = next_community(store)
        if current is None:
            return cls(next_community=following)
        entities = store.read(ENTITIES, graph.tables["entities"]).where(
            F.col("entity_type") == consumer_types(config)[1]
        )
        known_for = store.read(KNOWN_FOR, current.tables["known_for"]).select("entity_type", "entity_id", "community")
        located = known_for.join(entities, ["entity_type", "entity_id"]).select(
            location_column().alias("location"), "community"
        )
        rows = located.orderBy("location").toPandas()
        births = store.read(COMMUNITIES, current.tables["communities"]).select("community", "born").collect()
        return cls(
            current.model_version,
            rows["location"].to_numpy(np.int64),
            rows["community"].to_numpy(np.int64),
            {row["community"]: row["born"] for row in births},
            following,
        )

    def communities_of(self, location: Integers) -> Integers:
        """Return the community that each producer (n,) had, or NO_COMMUNITY."""
        position = positions_in(location, self.location)
        return np.where(position >= 0, np.append(self.community, NO_COMMUNITY)[position], NO_COMMUNITY)

    def identify(self, location: Integers, community: Integers) -> Identified:
        """Return the communities (n,) of producers with their ids, those of this version where they are the same."""
        return identify(community, self.communities_of(location), self.next_community)

    def changes(self, location: Integers, community: Integers) -> dict[int, str]:
        """Say by id what became of each community, of this version or the new one: same, changed, new or lost."""
        member = community >= 0
        new = pd.DataFrame({"location": location[member], "community": community[member]})
        old = pd.DataFrame({"location": self.location, "community": self.community})
        sizes, sizes_before = new["community"].value_counts(), old["community"].value_counts()
        shared = new.merge(old, on=["location", "community"])["community"].value_counts()
        return {
            name: "new" if name not in sizes_before
            else "lost" if name not in sizes
            else "same" if sizes[name] == sizes_before[name] == shared.get(name, 0)
            else "changed"
            for name in sorted({*sizes.index.tolist(), *sizes_before.index.tolist()})
        }  # fmt: skip
