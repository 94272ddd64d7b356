"""Publishing of a run: gates → `relations` → one commit of `embeddings`, which publishes it → `model_versions`.

Delta has no transaction over several tables. Therefore the relations of the new version are added first, beside those
of all versions. Then one commit replaces the embeddings. A reader takes the model version from the embeddings' rows and
reads the relations of that version. A RESTORE of `embeddings` is a complete rollback; `model_versions` is an index of
the history of `embeddings`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import TwhinError
from twhin_spark.publishing.embedding_rows import embedding_rows
from twhin_spark.publishing.quality_gate import gate_failures
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, ENTITIES, METRICS, MODEL_VERSIONS, RELATIONS, ddl
from twhin_spark.training.trained_run import TrainedRun

_DIM_CONSTRAINT = "embedding_dim"


@dataclass(frozen=True)
class PublishResult:
    """A published model version, and the Delta version of each table that publishing has written."""

    model_version: str
    tables: dict[str, int]


def publish(spark: SparkSession, config: Config, run: TrainedRun, progress: Callable[[str], None]) -> PublishResult:
    """Publish a complete run as the current model version, named by the run's id.

    A run that is published again replaces its own rows.

    Raises
    ------
    TwhinError
        If a quality gate of `publishing.gates` is not passed. Nothing is written then.
    """
    store = TableStore(spark, config.output)
    metrics = _metrics(store, run.run_id)
    if failed := gate_failures(config.publishing.gates, metrics):
        raise TwhinError("\n".join(f"not published: {line}" for line in failed))

    relations = store.overwrite(RELATIONS, _relation_rows(spark, config, run), where=f"model_version = '{run.run_id}'")
    entities = store.read(ENTITIES, run.graph.tables["entities"])
    vectors = embedding_rows(entities, run.folder, run.manifest.partitions, config.entity_types)
    ids = {"model_version": run.run_id, "run_id": run.run_id, "graph_id": run.graph.graph_id}
    user_metadata = {**ids, "metrics": metrics, "config": json.loads(config.model_dump_json())}
    dim_is = f"size(embedding)={config.training.dim}"
    if store.constraint(EMBEDDINGS, _DIM_CONSTRAINT) not in (None, dim_is):
        store.release(EMBEDDINGS, _DIM_CONSTRAINT)  # The dimension of the model has changed.
    embeddings = store.overwrite(
        EMBEDDINGS, vectors.withColumn("model_version", F.lit(run.run_id)), user_metadata=json.dumps(user_metadata)
    )
    progress(f"published {run.run_id} as version {embeddings} of embeddings")
    if store.constraint(EMBEDDINGS, _DIM_CONSTRAINT) is None:
        store.require(EMBEDDINGS, _DIM_CONSTRAINT, dim_is)
    versions = store.overwrite(MODEL_VERSIONS, _version_rows(store, run, embeddings, metrics, config))
    return PublishResult(run.run_id, {"relations": relations, "embeddings": embeddings, "model_versions": versions})


def _metrics(store: TableStore, run_id: str) -> list[dict[str, Any]]:
    """Read the run's metrics; there are none if it was not evaluated."""
    if not store.exists(METRICS):
        return []
    columns = ("relation", "average", "model", "metric", "value", "low", "high", "queries")
    rows = store.read(METRICS).where(F.col("run_id") == run_id).select(*columns).orderBy(*columns).collect()
    return [row.asDict() for row in rows]


def _relation_rows(spark: SparkSession, config: Config, run: TrainedRun) -> DataFrame:
    rows = []
    for name, state in run.manifest.relations.items():
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
    return spark.createDataFrame(rows, ddl(RELATIONS))


def _version_rows(
    store: TableStore, run: TrainedRun, table_version: int, metrics: list[dict[str, Any]], config: Config
) -> DataFrame:
    """Return all rows of `model_versions` with this run as the only current version."""
    now = datetime.now(UTC)
    row = (
        run.run_id,
        table_version,
        run.run_id,
        run.graph.graph_id,
        now,
        "current",
        json.dumps(metrics),
        config.model_dump_json(),
    )
    new = store.spark.createDataFrame([row], ddl(MODEL_VERSIONS))
    if not store.exists(MODEL_VERSIONS):
        return new
    others = store.read(MODEL_VERSIONS).where(F.col("model_version") != run.run_id)
    return others.withColumn("alias", F.lit(None).cast("string")).unionByName(new)
