"""Publishing of a run: gates → `alignments`, `relations` → one commit of `embeddings`, which publishes it → the index.

Delta has no transaction over several tables. Therefore the relations of the new version are added first, beside those
of all versions. Then one commit replaces the embeddings. A reader takes the model version from the embeddings' rows and
reads the relations of that version. A RESTORE of `embeddings` is a complete rollback; `model_versions` is an index of
the history of `embeddings`.

That commit is made only if the version that the run was compared with is still the current one. So of two publishers at
once one wins, and the other is told so.
"""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark import __version__
from twhin_spark.config import Config
from twhin_spark.errors import TwhinError
from twhin_spark.publishing.align import PublishedCoordinates, choose_coordinates, trained_rows
from twhin_spark.publishing.measured_drift import measure_drift_to
from twhin_spark.publishing.quality_gate import GateResult, judge_gates
from twhin_spark.publishing.version_index import find_publication, index_versions
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import DRIFT, EMBEDDINGS, METRICS, RELATIONS, ddl
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.trained_run import TrainedRun
from twhin_spark.versions.model_version import ModelVersion, current_version
from twhin_spark.versions.vector_columns import ENTITY

_DIM_CONSTRAINT = "embedding_dim"


@dataclass(frozen=True)
class PublishResult:
    """A published model version, and the Delta version of each table that publishing has written."""

    model_version: str
    tables: dict[str, int]


def publish(
    spark: SparkSession,
    config: Config,
    run: TrainedRun,
    progress: Callable[[str], None],
    *,
    force: str | None = None,
) -> PublishResult:
    """Publish a complete run as the current model version, named by the run's id.

    A run that is published again replaces its own rows, in the coordinates in which it was published first.

    Parameters
    ----------
    spark, config, run
        The session, the config and the run.
    progress
        Function that prints a line.
    force
        The reason to publish although gates fail, which is recorded with the version.

    Raises
    ------
    TwhinError
        A quality gate of `publishing.gates` is not passed, or another publish was faster. Nothing is published then.
    """
    store = TableStore(spark, config.output)
    if store.exists(EMBEDDINGS):
        index_versions(store)  # mends what a publish that was killed has left undone
    parent, current = store.version(EMBEDDINGS), current_version(store)
    coordinates = choose_coordinates(store, config, run, current, find_publication(store, run.run_id))
    turn = None if coordinates.aligned_to is None else coordinates.alignment.matrix
    rows = trained_rows(store, config, run, turn)
    relations = coordinates.relations(run, {name: config.relations[name].operator for name in run.manifest.relations})

    metrics = _metrics(store, run.run_id)
    drift = measure_drift_to(store, config, run, current, rows, relations)
    gates = judge_gates(config.publishing.gates, metrics, drift)
    failed = [gate.line for gate in gates if not gate.passed]
    if failed and force is None:
        raise TwhinError("\n".join(f"not published: {line}" for line in failed))
    for line in failed:
        progress(f"published by force: {line}")

    coordinates.write(store)
    tables = {"relations": _write_relations(store, config, run, relations)}
    if drift and current is not None:
        pair = f"from_version = '{current.name}' AND to_version = '{run.run_id}'"
        tables["drift"] = store.overwrite(DRIFT, spark.createDataFrame(drift, ddl(DRIFT)), where=pair)
    about = _about(config, run, coordinates, metrics, gates, force if failed else None)
    dim_is = f"size(embedding)={config.training.dim}"
    if store.constraint(EMBEDDINGS, _DIM_CONSTRAINT) not in (None, dim_is):
        store.release(EMBEDDINGS, _DIM_CONSTRAINT)  # The dimension of the model has changed.
        parent = store.version(EMBEDDINGS)
    whole = _with_departed(store, config, run, rows.withColumn("origin", F.lit("trained")), current)
    committed = store.commit_after(EMBEDDINGS, whole, parent, mode="overwrite", user_metadata=about)
    if committed is None:
        raise TwhinError(
            f"not published: another job has changed {store.path(EMBEDDINGS)} since this publish of {run.run_id} "
            "began; run publish again, which then compares with the version that is current"
        )
    progress(f"published {run.run_id} as version {committed} of embeddings")
    if store.constraint(EMBEDDINGS, _DIM_CONSTRAINT) is None:
        store.require(EMBEDDINGS, _DIM_CONSTRAINT, dim_is)
    tables.update(embeddings=committed, model_versions=index_versions(store))
    return PublishResult(run.run_id, tables)


def _metrics(store: TableStore, run_id: str) -> list[dict[str, Any]]:
    """Read the run's metrics; there are none if it was not evaluated."""
    if not store.exists(METRICS):
        return []
    columns = ("relation", "average", "model", "metric", "value", "low", "high", "queries")
    rows = store.read(METRICS).where(F.col("run_id") == run_id).select(*columns).orderBy(*columns).collect()
    return [row.asDict() for row in rows]


def _write_relations(store: TableStore, config: Config, run: TrainedRun, relations: Mapping[str, RelationState]) -> int:
    rows = []
    for name, state in relations.items():
        relation = config.relations[name]
        for side, parameters in state.parameters.items():
            rows.append(
                (
                    run.run_id,
                    name,
                    relation.source,
                    relation.target,
                    relation.operator,
                    config.training.comparator,
                    relation.weight,
                    side,
                    parameters,
                )
            )
    frame = store.spark.createDataFrame(rows, ddl(RELATIONS))
    return store.overwrite(RELATIONS, frame, where=f"model_version = '{run.run_id}'")


def _about(
    config: Config,
    run: TrainedRun,
    coordinates: PublishedCoordinates,
    metrics: list[dict[str, Any]],
    gates: list[GateResult],
    force: str | None,
) -> dict[str, Any]:
    """Return what the commit carries, from which a row of `model_versions` can be made."""
    forced = None if force is None else {"reason": force, "user": getpass.getuser(), "host": socket.gethostname()}
    return {
        "model_version": run.run_id,
        "run_id": run.run_id,
        "graph_id": run.graph.graph_id,
        "metrics": metrics,
        "config": json.loads(config.model_dump_json(by_alias=True)),
        "started_from": run.started_from,
        "aligned_to": coordinates.aligned_to,
        "code_version": __version__,
        "gates": [gate.as_dict() for gate in gates],
        "forced": forced,
    }


def _with_departed(
    store: TableStore, config: Config, run: TrainedRun, rows: DataFrame, current: ModelVersion | None
) -> DataFrame:
    """Return the rows of the version, with the vectors of departed entities that are kept for some days."""
    start = config.training.start
    rows = rows.withColumns({"departed_at": F.lit(None).cast("timestamp"), "model_version": F.lit(run.run_id)})
    if start is None or not start.departed_days or current is None or current.name == run.run_id:
        return rows
    now = datetime.now(UTC)
    former = store.read(EMBEDDINGS, current.table_version)
    since = F.col("departed_at") if "departed_at" in former.columns else F.lit(None)
    origin = F.col("origin") if "origin" in former.columns else F.lit("trained")
    departed = former.withColumns(
        {
            "departed_at": F.coalesce(since.cast("timestamp"), F.lit(now)),
            "origin": origin,
            "degree": F.lit(0).cast("bigint"),
            "model_version": F.lit(run.run_id),
        }
    ).where(F.col("departed_at") > F.lit(now - timedelta(days=start.departed_days)))
    gone = departed.where(F.col("entity_type").isin(config.entity_types)).join(
        rows.select(*ENTITY), ENTITY, "left_anti"
    )
    return rows.unionByName(gone.select(*rows.columns))
