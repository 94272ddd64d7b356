"""A pinned version of a family: a batch reads its rows and relations even if another version is published meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.representations.backward_maps import find_map
from twhin_spark.representations.errors import one_of
from twhin_spark.representations.published_family import DEFAULT_FAMILY, FamilyKind, not_published
from twhin_spark.representations.version_lookup import (
    CURRENT,
    VERSION_COLUMNS,
    PublishedRelation,
    find_version_row,
    only_current,
)
from twhin_spark.sql.functions import map_function
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import (
    ALIGNMENTS,
    COMMUNITY_TABLES,
    COMMUNITY_VERSIONS,
    EMBEDDINGS,
    MODEL_VERSIONS,
    RELATIONS,
)
from twhin_spark.versions.model_version import find_model_version


@dataclass(frozen=True)
class PinnedVersion:
    """One version of one family.

    Attributes
    ----------
    family, model_version
        Names of the family and the version.
    rows
        entity_type, entity_id, embedding, and the other columns of the table.
    relations
        The relations by name.
    """

    family: str
    model_version: str
    rows: DataFrame
    relations: Mapping[str, PublishedRelation]

    @property
    def kind(self) -> FamilyKind:
        """The kind of the family, by the type of its embeddings."""
        return "sparse" if isinstance(self.rows.schema["embedding"].dataType, MapType) else "dense"

    def relation(self, name: str) -> PublishedRelation:
        """Return a relation. Raises InputError if the version does not have it."""
        if name not in self.relations:
            raise InputError(f"unknown relation '{name}'; use {one_of(self.relations)}")
        return self.relations[name]


def pin_version(
    spark: SparkSession,
    config: Config,
    name: str = CURRENT,
    family: str = DEFAULT_FAMILY,
    *,
    space: str | None = None,
) -> PinnedVersion:
    """Return a version of a family by model version or alias.

    Parameters
    ----------
    spark, config
        The session, and the config whose output is read.
    name
        Model version or alias. `current` is the version that the table holds now, as in the service.
    family
        Family of representations.
    space
        Model version or tag in whose space the vectors are given, with its relations, so that what was built on that
        version stays on it. None: as they are.

    Raises
    ------
    InputError
        Nothing is published, the family or version is unknown, or no map leads to the space.
    """
    store = TableStore(spark, config.output)
    table = _table(store, config, family)
    if family in config.serving.communities:
        number = _pinned(store, family, name)
    else:
        number = _table_version(store, table, family, name)
    rows = store.read_at(table, number)
    first = rows.select("model_version").first()
    if first is None:
        raise InputError(f"{table} version {number}: no rows; run `twhin-spark publish` to write them")
    if space is not None:
        return _in_space(store, rows, first["model_version"], family, space)
    relations = _relations(store, first["model_version"]) if family == DEFAULT_FAMILY else {}
    return PinnedVersion(family, first["model_version"], rows, relations)


def _in_space(store: TableStore, rows: DataFrame, version: str, family: str, space: str) -> PinnedVersion:
    if family != DEFAULT_FAMILY:
        raise InputError(f"space '{space}': family '{family}' has no maps between versions; remove the space")
    target = find_model_version(store, space, "space").name
    stored = store.read(ALIGNMENTS).collect() if store.exists(ALIGNMENTS) else []
    matrix = find_map([row.asDict() for row in stored], version, target)
    if matrix is not None:
        rows = rows.withColumn("embedding", map_function(matrix)("embedding"))
    return PinnedVersion(family, version, rows, _relations(store, target))


def _table(store: TableStore, config: Config, family: str) -> str:
    """Return path or URI of the family's table."""
    others = config.serving.families
    if family == DEFAULT_FAMILY:
        return store.path(EMBEDDINGS)
    by_communities = [table for table in COMMUNITY_TABLES if table.name in config.serving.communities]
    for sparse in by_communities:
        if family == sparse.name:
            return store.path(sparse)
    if family not in others:
        known = one_of([DEFAULT_FAMILY, *config.serving.communities, *others])
        raise InputError(f"family '{family}' is not in serving.families; use {known}")
    return others[family].table


def _table_version(store: TableStore, table: str, family: str, name: str) -> int:
    latest = store.version_at(table)
    if latest is None:
        raise not_published(table)
    if name == CURRENT:
        return latest  # a restored table is the restored model, whatever `model_versions` says
    if family != DEFAULT_FAMILY:
        raise only_current(family, name)
    versions = store.read(MODEL_VERSIONS)
    rows = versions.select(*[column for column in VERSION_COLUMNS if column in versions.columns]).collect()
    return int(find_version_row(rows, name, "model_versions")["table_version"])


def pinned_tables(store: TableStore, name: str) -> tuple[str, dict[str, int]]:
    """Return a version of the communities, and the Delta version of each of its tables. Raises InputError."""
    path = store.path(COMMUNITY_VERSIONS)
    if not store.exists(COMMUNITY_VERSIONS):
        raise InputError(f"{path}: no Delta table; run `twhin-spark communities` to write it")
    rows = store.read(COMMUNITY_VERSIONS).select("model_version", "alias", "tables").collect()
    for row in rows:
        if name in (row["model_version"], row["alias"]):
            return row["model_version"], row["tables"]
    names = one_of({CURRENT, *(row["model_version"] for row in rows)})
    raise InputError(f"{path}: version '{name}' was not published; use {names}")


def _pinned(store: TableStore, family: str, name: str) -> int:
    """Return the Delta version of a family's table in a version of the communities."""
    version, tables = pinned_tables(store, name)
    if family not in tables:
        raise InputError(f"version {version} of the communities has no {family}; use {one_of(tables)}")
    return tables[family]


def _relations(store: TableStore, model_version: str) -> dict[str, PublishedRelation]:
    """Return the relations of a model version, for ranking targets."""
    rows = store.read(RELATIONS).where((F.col("model_version") == model_version) & (F.col("side") == "target"))
    columns = PublishedRelation.columns(rows.columns)
    return {row["relation"]: PublishedRelation(**row.asDict()) for row in rows.select(*columns).collect()}
