"""The version of a family that a batch reads, pinned: its rows and its relations, whatever is published meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.representations.catalogue import CURRENT
from twhin_spark.representations.errors import one_of
from twhin_spark.representations.store_manifest import Kind, Relation
from twhin_spark.serving.store import DEFAULT_FAMILY
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, MODEL_VERSIONS, RELATIONS


@dataclass(frozen=True)
class PinnedVersion:
    """One version of one family. rows: entity_type, entity_id, embedding, and what else the table has."""

    family: str
    model_version: str
    rows: DataFrame
    relations: Mapping[str, Relation]

    @property
    def kind(self) -> Kind:
        return "sparse" if isinstance(self.rows.schema["embedding"].dataType, MapType) else "dense"

    def relation(self, name: str) -> Relation:
        """Raises InputError where the version has no such relation."""
        if name not in self.relations:
            raise InputError(f"unknown relation '{name}'; allowed: {one_of(self.relations)}")
        return self.relations[name]


def pin_version(
    spark: SparkSession, config: Config, name: str = CURRENT, family: str = DEFAULT_FAMILY
) -> PinnedVersion:
    """A version by model version or alias, as the service knows them: `current` is what the table holds now.

    Raises InputError where nothing is published, or no such family or version is.
    """
    store = TableStore(spark, config.output)
    table = _table(store, config, family)
    number = _table_version(store, table, family, name)
    rows = store.read_at(table, number)
    first = rows.select("model_version").first()
    if first is None:
        raise InputError(f"{table} version {number}: no rows; `twhin-spark publish` writes them")
    relations = _relations(store, first["model_version"]) if family == DEFAULT_FAMILY else {}
    return PinnedVersion(family, first["model_version"], rows, relations)


def _table(store: TableStore, config: Config, family: str) -> str:
    """Path or URI of the family's table."""
    others = config.serving.families
    if family == DEFAULT_FAMILY:
        return store.path(EMBEDDINGS)
    if family not in others:
        raise InputError(f"family '{family}' is not in the config; allowed: {one_of([DEFAULT_FAMILY, *others])}")
    return others[family].table


def _table_version(store: TableStore, table: str, family: str, name: str) -> int:
    latest = store.version_at(table)
    if latest is None:
        raise InputError(f"{table}: no Delta table; `twhin-spark publish` writes it")
    if name == CURRENT:
        return latest  # a restored table is the restored model, whatever `model_versions` says
    if family != DEFAULT_FAMILY:
        raise InputError(f"{family}: found version '{name}'; allowed: {CURRENT}, for want of a table of versions")
    versions = store.read(MODEL_VERSIONS).select("model_version", "alias", "table_version").collect()
    for row in versions:
        if name in (row["model_version"], row["alias"]):
            return int(row["table_version"])
    known = one_of([CURRENT, *(row["model_version"] for row in versions)])
    raise InputError(f"version '{name}' was not published; allowed: {known}")


def _relations(store: TableStore, model_version: str) -> dict[str, Relation]:
    """The relations of a model version, as they rank targets."""
    own = (F.col("model_version") == model_version) & (F.col("side") == "target")
    stored = store.read(RELATIONS).where(own)
    rows = stored.select(*(name for name in Relation.model_fields if name in stored.columns)).collect()
    return {row["relation"]: Relation(**row.asDict()) for row in rows}
