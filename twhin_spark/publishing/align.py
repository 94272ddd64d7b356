"""The alignment of a publication: the change of coordinates to an earlier version, and the map back to its space.

The version is the one that was current when the run was first published. It is kept with the publication, and so is the
matrix: a second publish of the run repeats them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.kernels.alignment import Alignment, fit_alignment, fit_linear_map
from twhin_spark.kernels.arrays import Floats
from twhin_spark.representations.backward_maps import BACKWARD, PUBLISHED
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import ALIGNMENTS, ENTITIES, ddl
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.trained_run import TrainedRun
from twhin_spark.training.trained_vectors import embedding_rows
from twhin_spark.versions.cross_products import CrossProducts, cross_products
from twhin_spark.versions.model_version import ModelVersion, read_relations, read_vectors
from twhin_spark.versions.version_relation import VersionRelation


@dataclass(frozen=True)
class PublishedCoordinates:
    """The coordinates of a publication.

    Attributes
    ----------
    aligned_to
        Version to which the trained vectors are turned; None: they are published as they were trained.
    alignment
        What turns them.
    rows
        Rows of `alignments` to write; empty if they were written before.
    """

    aligned_to: str | None
    alignment: Alignment
    rows: tuple[tuple[object, ...], ...] = ()

    def write(self, store: TableStore) -> None:
        """Write the rows of `alignments`."""
        for from_version, to_version, kind, *rest in self.rows:
            row = store.spark.createDataFrame([(from_version, to_version, kind, *rest)], ddl(ALIGNMENTS))
            same = f"from_version = '{from_version}' AND to_version = '{to_version}' AND kind = '{kind}'"
            store.overwrite(ALIGNMENTS, row, where=same)

    def relations(self, run: TrainedRun, operators: Mapping[str, str]) -> dict[str, RelationState]:
        """Return the run's relations in the coordinates of the publication."""
        states = run.manifest.relations
        if self.aligned_to is None:
            return states
        return {
            name: RelationState(
                {
                    end: self.alignment.parameters(operators[name], np.array(values, np.float32)).tolist()
                    for end, values in state.parameters.items()
                },
                state.accumulators,
            )
            for name, state in states.items()
        }


def choose_coordinates(
    store: TableStore, config: Config, run: TrainedRun, current: ModelVersion | None, published: Row | None
) -> PublishedCoordinates:
    """Return the coordinates in which a run is published.

    Parameters
    ----------
    store, config, run
        The tables, the config and the run.
    current
        The version that is current, or None.
    published
        What an earlier publication of the run has recorded (`aligned_to`), or None.
    """
    as_trained = PublishedCoordinates(None, Alignment(np.eye(config.training.dim)))
    if published is not None:
        if published["aligned_to"] is None:
            return as_trained
        return PublishedCoordinates(published["aligned_to"], _kept_alignment(store, run, published["aligned_to"]))
    if not config.publishing.align or current is None or current.name == run.run_id:
        return as_trained
    sums = cross_products(trained_rows(store, config, run), read_vectors(store, current))
    if sums is None or sums.cross.shape[1] != config.training.dim:
        return as_trained
    return _fitted(config, run, current, sums, read_relations(store, current))


def trained_rows(store: TableStore, config: Config, run: TrainedRun, matrix: Floats | None = None) -> DataFrame:
    """Return entity_type, entity_id, embedding, norm and degree of the run's entities, turned by a matrix."""
    entities = store.read(ENTITIES, run.graph.tables["entities"])
    return embedding_rows(entities, run.folder, run.manifest.partitions, config.entity_types, matrix)


def _fitted(
    config: Config,
    run: TrainedRun,
    current: ModelVersion,
    sums: CrossProducts,
    relations: Mapping[str, VersionRelation],
) -> PublishedCoordinates:
    operators = {name: config.relations[name].operator for name in run.manifest.relations}
    pairs = list(_shared_translations(run, operators, relations))
    with_relations = sums.with_pairs(*map(np.array, zip(*pairs, strict=True))) if pairs else sums
    alignment = fit_alignment(with_relations.cross, set(operators.values()))
    turned = sums.turned(alignment.matrix)
    backward = fit_linear_map(turned.gram, turned.cross, turned.squares)
    changed = float(np.trace(turned.gram) - 2 * np.trace(turned.cross) + turned.squares) / max(turned.squares, 1e-30)
    rows = (
        _row(run, current, PUBLISHED, alignment.matrix, changed, sums.entities),
        _row(run, current, BACKWARD, backward.matrix, backward.error, sums.entities),
    )
    return PublishedCoordinates(current.name, alignment, rows)


def _shared_translations(
    run: TrainedRun, operators: Mapping[str, str], relations: Mapping[str, VersionRelation]
) -> Iterator[tuple[list[float], list[float]]]:
    """Yield the vectors of each translation in the run and in the version: they turn as entities do."""
    for name, state in sorted(run.manifest.relations.items()):
        other = relations.get(name)
        if operators[name] == "translation" and other is not None and other.operator == "translation":
            for end, values in sorted(state.parameters.items()):
                if end in other.parameters:
                    yield values, other.parameters[end]


def _row(
    run: TrainedRun, current: ModelVersion, kind: str, matrix: Floats, error: float, entities: int
) -> tuple[object, ...]:
    return run.run_id, current.name, kind, len(matrix), matrix.ravel().tolist(), error, entities


def _kept_alignment(store: TableStore, run: TrainedRun, aligned_to: str) -> Alignment:
    same = (F.col("from_version") == run.run_id) & (F.col("to_version") == aligned_to) & (F.col("kind") == PUBLISHED)
    row = store.read(ALIGNMENTS).where(same).first()
    assert row is not None, f"the alignment of {run.run_id} to {aligned_to} is written before it is published"
    return Alignment(np.array(row["matrix"]).reshape(row["dim"], -1))
