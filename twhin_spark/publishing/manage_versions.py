"""The versions as objects: list, show, compare, roll back, tag and untag them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from twhin_spark.errors import ConfigError, InputError, TwhinError
from twhin_spark.graph.graph_version import find_graph
from twhin_spark.publishing.version_index import index_versions
from twhin_spark.representations.version_lookup import CURRENT, find_version_row, tags_of
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import DRIFT, EMBEDDINGS, MODEL_VERSIONS, ddl
from twhin_spark.versions.drift import VersionVectors, measure_drift
from twhin_spark.versions.model_version import (
    ModelVersion,
    current_version,
    find_model_version,
    read_relations,
    read_vectors,
)

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_JSON = ("metrics", "config", "gates", "forced")


def list_versions(store: TableStore) -> list[dict[str, Any]]:
    """Return the published versions, the latest first."""
    _require_versions(store)
    current = current_version(store)
    return [_listed(row, current) for row in _rows(store)]


def show_version(store: TableStore, name: str) -> dict[str, Any]:
    """Return everything that is known of a version: run, config, code, data, metrics, gates, drift, entities."""
    _require_versions(store)
    version, current = find_model_version(store, name, "versions show"), current_version(store)
    row = next(row for row in _rows(store) if row["model_version"] == version.name)
    about = {**_listed(row, current), "run_id": row["run_id"], "graph_id": row["graph_id"]}
    for column in ("code_version", *_JSON):
        value = _optional(row, column)
        about[column] = json.loads(value) if column in _JSON and value is not None else value
    counts = store.read(EMBEDDINGS, version.table_version).groupBy("entity_type").count().collect()
    about["entities"] = {counted["entity_type"]: counted["count"] for counted in sorted(counts)}
    about["data"] = _data(store, row["graph_id"], about["config"])
    about["drift"] = _stored_drift(store, version.name)
    return about


def diff_versions(store: TableStore, first: str, second: str) -> dict[str, Any]:
    """Measure how far vectors moved from one version to another, write it to `drift`, and compare the metrics."""
    _require_versions(store)
    versions = [find_model_version(store, name, "versions diff") for name in (first, second)]
    former, later = (VersionVectors(v.name, read_vectors(store, v), read_relations(store, v)) for v in versions)
    rows = measure_drift(former, later)
    if not rows:
        raise InputError(
            f"versions diff: {former.name} and {later.name} cannot be compared: they share no entity, or their "
            "dimensions differ"
        )
    pair = f"from_version = '{former.name}' AND to_version = '{later.name}'"
    store.overwrite(DRIFT, store.spark.createDataFrame(rows, ddl(DRIFT)), where=pair)
    stored = {row["model_version"]: row for row in _rows(store)}
    metrics = {v.name: json.loads(_optional(stored[v.name], "metrics") or "[]") for v in versions}
    return {"from_version": former.name, "to_version": later.name, "drift": rows, "metrics": _side_by_side(metrics)}


def roll_back(store: TableStore, name: str, progress: Callable[[str], None]) -> dict[str, Any]:
    """Make a version the current one. No vector is copied.

    Raises
    ------
    InputError
        No version has the name, or it was vacuumed.
    TwhinError
        Another job wrote `embeddings` at the same time.
    """
    _require_versions(store)
    index_versions(store)  # a publication without a row would lose its name
    version, current = find_model_version(store, name, "versions rollback"), current_version(store)
    assert current is not None
    if version.name == current.name:
        progress(f"{version.name} is the current version already")
        table_version = current.table_version
    else:
        restored = store.restore(EMBEDDINGS, version.table_version)
        if restored is None:
            raise TwhinError(f"not rolled back: another job wrote {store.path(EMBEDDINGS)} at the same time; try again")
        table_version = restored
        progress(f"{version.name} is current, as version {table_version} of embeddings; before, {current.name} was")
    index_versions(store)
    return {"model_version": version.name, "before": current.name, "table_version": table_version}


def tag_version(store: TableStore, name: str, tag: str) -> dict[str, Any]:
    """Give a version a name that stays with it.

    Raises
    ------
    ConfigError
        The tag is no valid name.
    InputError
        No version has the name, or the tag is another one's.
    """
    _require_versions(store)
    if not _TAG.fullmatch(tag) or tag == CURRENT:
        raise ConfigError(f"tag '{tag}' must be letters, digits, '.', '_' and '-', and not '{CURRENT}'; choose another")
    version = find_model_version(store, name, "versions tag")
    for row in _rows(store):
        if tag == row["model_version"]:
            raise InputError(f"tag '{tag}' is the name of a version; choose another tag")
        if tag in tags_of(row) and row["model_version"] != version.name:
            raise InputError(f"tag '{tag}' is that of version '{row['model_version']}'; untag it first")
    tags = F.array_sort(F.array_union(F.coalesce("tags", F.array().cast("array<string>")), F.array(F.lit(tag))))
    store.update(MODEL_VERSIONS, F.col("model_version") == version.name, {"tags": tags})
    return _tagged(store, version)


def untag_version(store: TableStore, tag: str) -> dict[str, Any]:
    """Remove a tag. Raises InputError if no version has it."""
    _require_versions(store)
    rows = [row for row in _rows(store) if tag in tags_of(row)]
    if not rows:
        raise InputError(f"tag '{tag}' is no version's; `twhin-spark versions list` shows the tags")
    row = rows[0]
    store.update(MODEL_VERSIONS, F.array_contains("tags", tag), {"tags": F.array_remove("tags", tag)})
    return _tagged(store, ModelVersion(row["model_version"], row["table_version"], row["run_id"], row["graph_id"]))


def _tagged(store: TableStore, version: ModelVersion) -> dict[str, Any]:
    row = find_version_row(_rows(store), version.name, "model_versions")
    return {"model_version": version.name, "tags": tags_of(row)}


def _require_versions(store: TableStore) -> None:
    if not store.exists(EMBEDDINGS):
        raise InputError(f"no version is published in {store.path(EMBEDDINGS)}; publish a run first")
    if not store.exists(MODEL_VERSIONS):
        index_versions(store)


def _rows(store: TableStore) -> list[Row]:
    return store.read(MODEL_VERSIONS).orderBy(F.desc("table_version")).collect()


def _listed(row: Row, current: ModelVersion | None) -> dict[str, Any]:
    vacuumed = _optional(row, "vacuumed_at")
    return {
        "model_version": row["model_version"],
        "current": current is not None and row["model_version"] == current.name,
        "tags": tags_of(row),
        "table_version": row["table_version"],
        "published_at": row["published_at"].isoformat(),
        "started_from": _optional(row, "started_from"),
        "aligned_to": _optional(row, "aligned_to"),
        "forced": _optional(row, "forced") is not None,
        "vacuumed_at": None if vacuumed is None else vacuumed.isoformat(),
    }


def _optional(row: Row, column: str) -> Any:
    """Return a column that tables of older code lack, or None."""
    return row[column] if column in row else None  # noqa: SIM401 - a row of Spark has no `get`


def _data(store: TableStore, graph_id: str, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the window of the events, and the time of the last one."""
    window = (config or {}).get("window") or {}
    try:
        reference = find_graph(store, graph_id).reference_time
    except InputError:
        reference = None
    last = None if reference is None else reference.isoformat()
    return {"from": window.get("from", window.get("from_")), "until": window.get("until"), "last_event": last}


def _stored_drift(store: TableStore, name: str) -> list[dict[str, Any]]:
    """Return the drift to the version by entity type, as its publication has measured it."""
    if not store.exists(DRIFT):
        return []
    rows = store.read(DRIFT).where((F.col("to_version") == name) & F.col("degree_band").isNull()).drop("histogram")
    return [row.asDict() for row in rows.orderBy("from_version", "measure", "rotated", "entity_type").collect()]


def _side_by_side(metrics: Mapping[str, list[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return each metric of the model with its value and interval in every version that has it."""
    table: dict[tuple[str, str, str], dict[str, Any]] = {}
    for version, rows in metrics.items():
        for row in rows:
            if row["model"] == "twhin":
                key = (row["relation"] or "", row["average"] or "", row["metric"])
                measured = {name: row[name] for name in ("value", "low", "high", "queries")}
                entry = table.setdefault(
                    key, {"relation": row["relation"], "average": row["average"], "metric": row["metric"]}
                )
                entry[version] = measured
    return [table[key] for key in sorted(table)]
