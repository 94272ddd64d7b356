"""Warm start: what a run takes from a published version. Planned on the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.config.training import AnchorConfig
from twhin_spark.errors import InputError
from twhin_spark.graph.graph_version import GraphVersion, find_graph
from twhin_spark.kernels.neighbour_vectors import SeenThrough
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES
from twhin_spark.training.neighbour_start import Views, neighbour_edges, neighbour_means
from twhin_spark.training.state.relation_state import RelationSettings, RelationState, initial_state
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import StateFile
from twhin_spark.versions.model_version import ModelVersion, find_model_version, read_relations, read_vectors
from twhin_spark.versions.vector_columns import ENTITY
from twhin_spark.versions.version_relation import VersionRelation

_ACCUMULATORS = "entity_type STRING, entity_id STRING, accumulator FLOAT"


@dataclass(frozen=True)
class WarmStart:
    """First vectors of entities, and first parameters of relations.

    Attributes
    ----------
    rows
        entity_type, entity_id, vector, accumulator and pull, the share by which the anchor pulls in an epoch. Entities
        without a row start at random vectors; None: all of them.
    relations
        The version's relations, by name.
    accumulators
        Of the parameters of its relations, by name and end, where the run's state is kept and still applies.
    """

    rows: DataFrame | None = None
    relations: Mapping[str, VersionRelation] = field(default_factory=dict)
    accumulators: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)

    @contextmanager
    def cached(self) -> Iterator[DataFrame | None]:
        """Cache the rows while they are used."""
        rows = None if self.rows is None else self.rows.cache()
        try:
            yield rows
        finally:
            if rows is not None:
                rows.unpersist()

    def relation_state(self, settings: RelationSettings, dim: int) -> RelationState:
        """Return the version's parameters of a relation, or initial ones if it has none for this operator and side."""
        first, known = initial_state(settings, dim), self.relations.get(settings.name)
        ends = (settings.source, settings.target)
        if known is None or known.operator != settings.operator or (known.source_type, known.target_type) != ends:
            return first
        kept = self.accumulators.get(settings.name, {})
        parameters = {end: known.parameters.get(end, values) for end, values in first.parameters.items()}
        accumulators = {
            end: kept.get(end, values) if end in known.parameters else values
            for end, values in first.accumulators.items()
        }
        return RelationState(parameters, accumulators)


def read_warm_start(
    store: TableStore, config: Config, graph: GraphVersion, name: str, progress: Callable[[str], None]
) -> WarmStart:
    """Return the start of a run from a version.

    Parameters
    ----------
    store, config, graph
        Of the run.
    name
        The model version.
    progress
        Function that prints a line.

    Raises
    ------
    InputError
        The version is gone.
    """
    settings = config.training.start
    assert settings is not None
    version = find_model_version(store, name, "training.start.from")
    relations = read_relations(store, version)
    published = read_vectors(store, version).where(F.col("entity_type").isin(config.entity_types))
    known = published.withColumnRenamed("embedding", "vector")
    kept = _KeptState.of_version(store, config, version)
    if kept is None:
        progress(f"version {name}: its run's state is not kept, so Adagrad's accumulators start at 0")
        known = known.withColumn("accumulator", F.lit(0.0).cast("float"))
    else:
        rows = known.join(kept.accumulators(), ENTITY, "left")
        known = rows.withColumn("accumulator", F.coalesce("accumulator", F.lit(0.0).cast("float")))
    known = _with_pull(known, settings.anchor).select(*ENTITY, "vector", "accumulator", "pull")
    if settings.new_entities == "neighbours":
        known = known.unionByName(_new_entities(store, graph, known, relations))
    return WarmStart(known, relations, {} if kept is None else kept.relation_accumulators)


def _with_pull(known: DataFrame, anchor: AnchorConfig | None) -> DataFrame:
    if anchor is None:
        return known.withColumn("pull", F.lit(0.0).cast("float"))
    means = known.groupBy("entity_type").agg(F.avg("degree").alias("mean_degree"))
    share = F.least(F.lit(1.0), F.col("degree") / F.col("mean_degree"))
    pull = F.lit(anchor.strength) * F.pow(share, F.lit(anchor.degree_power))
    return known.join(F.broadcast(means), "entity_type").withColumn("pull", pull.cast("float"))


def _new_entities(
    store: TableStore, graph: GraphVersion, known: DataFrame, relations: Mapping[str, VersionRelation]
) -> DataFrame:
    """Return rows of the graph's entities that are not known but have a known neighbour in a known relation."""
    entities = store.read(ENTITIES, graph.tables["entities"]).where("degree > 0").select(*ENTITY)
    new = entities.join(known.select(*ENTITY), ENTITY, "left_anti")
    edges = store.read(EDGES, graph.tables["edges"]).where(F.col("relation").isin(list(relations)))
    means = neighbour_means(neighbour_edges(edges, new, known), views(relations), new.count())
    zero = F.lit(0.0).cast("float")
    return means.withColumns({"accumulator": zero, "pull": zero})


def views(relations: Mapping[str, VersionRelation]) -> Views:
    """Return how entities at either end of the relations see their neighbours."""
    seen = {}
    for name, relation in relations.items():
        parameters = {end: np.array(values, np.float32) for end, values in relation.parameters.items()}
        seen[name, "target"] = SeenThrough(relation.operator, parameters["target"], transposed=False)
        two_sided = "source" in parameters
        seen[name, "source"] = SeenThrough(
            relation.operator, parameters["source" if two_sided else "target"], transposed=not two_sided
        )
    return seen


@dataclass(frozen=True)
class _KeptState:
    """The state files of the run that trained a version."""

    folder: RunFolder
    entities: DataFrame
    files: Sequence[StateFile]
    types: Sequence[str]
    relation_accumulators: Mapping[str, Mapping[str, list[float]]]

    @classmethod
    def of_version(cls, store: TableStore, config: Config, version: ModelVersion) -> _KeptState | None:
        """Return the state, or None if it or the graph's table of entities is gone."""
        folder = RunFolder(config.output, version.run_id)
        manifest, settings = folder.latest(), folder.settings()
        if manifest is None or settings is None or not folder.has(manifest.kept.partitions):
            return None
        try:
            graph = find_graph(store, version.graph_id)
        except InputError:
            return None
        relations = {name: state.accumulators for name, state in manifest.kept.relations.items()}
        entities = store.read(ENTITIES, graph.tables["entities"]).select(*ENTITY, "partition", "row")
        return cls(folder, entities, manifest.kept.partitions, settings["entity_types"], relations)

    def accumulators(self) -> DataFrame:
        """Return entity_type, entity_id and accumulator of every entity."""
        reader = _reader(self.folder.output, self.folder.run_id, self.files, self.types)
        return self.entities.groupBy("partition").applyInArrow(reader, _ACCUMULATORS)


def _reader(
    output: str, run_id: str, files: Sequence[StateFile], types: Sequence[str]
) -> Callable[[pa.Table], pa.Table]:
    def read(entities: pa.Table) -> pa.Table:
        """Read the accumulators of one partition's entities. Runs on workers."""
        state = RunFolder(output, run_id).read_partition(files[entities["partition"][0].as_py()], types)
        parts = []
        for name in types:
            rows = entities.filter(pc.equal(entities["entity_type"], name))
            accumulators = state[name].accumulators[rows["row"].to_numpy()]
            parts.append(rows.select(ENTITY).append_column("accumulator", pa.array(accumulators, pa.float32())))
        return pa.concat_tables(parts)

    return read
