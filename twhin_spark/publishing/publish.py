"""Publishing: gate → relations → one commit of `embeddings`, which is the publish → `model_versions`.

Delta by path has no transaction over several tables. So the relations of the new version come first, beside those of
all versions; then one commit replaces the embeddings, and a reader takes the version from the rows it reads.
RESTORE of `embeddings` is the whole rollback. `model_versions` only indexes that table's history.
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

CHECK = "embedding_dim"


@dataclass(frozen=True)
class PublishResult:
    """A published version and the Delta versions that hold it."""

    model_version: str
    tables: dict[str, int]


def publish(spark: SparkSession, config: Config, run: TrainedRun, progress: Callable[[str], None]) -> PublishResult:
    """Publishes a complete run as the current model version, which bears the run's id.

    Publishing a run again replaces its rows. Raises TwhinError where the model does not pass its gates.
    """
    store = TableStore(spark, config.output)
    metrics = _metrics(store, run.run_id)
    if failed := gate_failures(config.publishing.gates, metrics):
        raise TwhinError("\n".join(f"not published: {line}" for line in failed))

    relations = store.overwrite(RELATIONS, _relation_rows(spark, config, run), where=f"model_version = '{run.run_id}'")
    entities = store.read(ENTITIES, run.graph.tables["entities"])
    vectors = embedding_rows(entities, run.folder, run.manifest.partitions, config.entity_types)
    about = {"model_version": run.run_id, "run_id": run.run_id, "graph_id": run.graph.graph_id}
    described = {**about, "metrics": metrics, "config": json.loads(config.model_dump_json())}
    dim_is = f"size(embedding)={config.training.dim}"
    if store.constraint(EMBEDDINGS, CHECK) not in (None, dim_is):
        store.release(EMBEDDINGS, CHECK)  # the dimension of the model has changed
    embeddings = store.overwrite(
        EMBEDDINGS, vectors.withColumn("model_version", F.lit(run.run_id)), user_metadata=json.dumps(described)
    )
    progress(f"published {run.run_id} as version {embeddings} of embeddings")
    if store.constraint(EMBEDDINGS, CHECK) is None:
        store.require(EMBEDDINGS, CHECK, dim_is)
    versions = store.overwrite(MODEL_VERSIONS, _version_rows(store, run, embeddings, metrics, config))
    return PublishResult(run.run_id, {"relations": relations, "embeddings": embeddings, "model_versions": versions})


def _metrics(store: TableStore, run_id: str) -> list[dict[str, Any]]:
    """The run's metrics, none where it was not evaluated."""
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
    """All of `model_versions` with this run in it, as the only current one."""
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
