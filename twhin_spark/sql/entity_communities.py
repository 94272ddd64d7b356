"""The communities of an entity, with their members: what its sparse representations say in words."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.sql.pinned_version import pinned_tables
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import COMMUNITIES, INTERESTED_IN, ITEM_EMBEDDINGS, PRODUCER_EMBEDDINGS

_FAMILIES = (INTERESTED_IN, PRODUCER_EMBEDDINGS, ITEM_EMBEDDINGS)


@dataclass(frozen=True)
class WeightedCommunity:
    """A community with its weight in a representation.

    Attributes
    ----------
    community
        Id.
    weight, share
        The entity's weight, and its share of the sum of all of the entity's weights.
    size
        Number of producers that are known for it.
    members
        Ids of the first of them.
    """

    community: int
    weight: float
    share: float
    size: int
    members: list[str]


@dataclass(frozen=True)
class EntityCommunities:
    """The communities of an entity by family, in the version of the communities that they are read from."""

    model_version: str
    families: dict[str, list[WeightedCommunity]]


def entity_communities(
    spark: SparkSession, config: Config, entity_type: str, entity_id: str, *, count: int = 5
) -> EntityCommunities:
    """Return the first communities of an entity in each of its representations.

    Parameters
    ----------
    spark, config
        The session, and the config whose output is read.
    entity_type, entity_id
        The entity.
    count
        Number of communities of a representation, and of members of a community.

    Raises
    ------
    InputError
        No communities are published, or the entity has none.
    """
    store = TableStore(spark, config.output)
    version, tables = pinned_tables(store, CURRENT)
    families: dict[str, list[WeightedCommunity]] = {}
    for table in _FAMILIES:
        if table.name not in tables:
            continue
        same = (F.col("entity_type") == entity_type) & (F.col("entity_id") == entity_id)
        row = store.read(table, tables[table.name]).where(same).select("embedding").first()
        if row is not None:
            largest = sorted(row["embedding"].items(), key=lambda entry: (-entry[1], entry[0]))
            total = sum(row["embedding"].values())
            families[table.name] = _described(store, tables[COMMUNITIES.name], largest[:count], total, count)
    if not families:
        raise InputError(f"{entity_type} '{entity_id}' has no communities in version {version}")
    return EntityCommunities(version, families)


def _described(
    store: TableStore, number: int, weights: list[tuple[int, float]], total: float, count: int
) -> list[WeightedCommunity]:
    """Return communities with their members. number: Delta version of `communities`."""
    rows = store.read(COMMUNITIES, number).where(F.col("community").isin([name for name, _ in weights]))
    by_id = {row["community"]: row for row in rows.select("community", "size", "members").collect()}
    return [
        WeightedCommunity(
            name, weight, weight / total, by_id[name]["size"],
            [member["entity_id"] for member in by_id[name]["members"][:count]],
        )
        for name, weight in weights
    ]  # fmt: skip
