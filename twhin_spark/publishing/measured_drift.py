"""The drift of a publication from the version that is current."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame

from twhin_spark.config import Config
from twhin_spark.tables.delta import TableStore
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.trained_run import TrainedRun
from twhin_spark.versions.drift import DriftRow, VersionVectors, measure_drift
from twhin_spark.versions.model_version import ModelVersion, read_relations, read_vectors
from twhin_spark.versions.version_relation import VersionRelation


def measure_drift_to(
    store: TableStore,
    config: Config,
    run: TrainedRun,
    current: ModelVersion | None,
    rows: DataFrame,
    relations: Mapping[str, RelationState],
) -> list[DriftRow] | None:
    """Return the drift from the current version to a run as it is to be published.

    None, if nothing is current, the run itself is, or the config asks for no drift.
    """
    if not config.publishing.drift or current is None or current.name == run.run_id:
        return None
    former = VersionVectors(current.name, read_vectors(store, current), read_relations(store, current))
    states = {
        name: VersionRelation(
            config.relations[name].source,
            config.relations[name].target,
            config.relations[name].operator,
            state.parameters,
        )
        for name, state in relations.items()
    }
    return measure_drift(former, VersionVectors(run.run_id, rows, states))
