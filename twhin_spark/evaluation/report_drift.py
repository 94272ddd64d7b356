"""The report's section on drift: how far the run's vectors are from those of the current version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twhin_spark.config import Config
from twhin_spark.evaluation import charts
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import ENTITIES
from twhin_spark.training.trained_run import TrainedRun
from twhin_spark.training.trained_vectors import embedding_rows
from twhin_spark.versions.drift import DriftRow, VersionVectors, measure_drift
from twhin_spark.versions.model_version import current_version, read_relations, read_vectors
from twhin_spark.versions.version_relation import VersionRelation

_MEASURES = {"cosine": "1 - cosine of both vectors", "l2": "distance over the former vector's length"}
_COLUMNS = ("mean", "p5", "p50", "p95")


def report_drift(store: TableStore, config: Config, run: TrainedRun) -> dict[str, Any] | None:
    """Return what the section shows, or None if no other version is current or the two cannot be compared."""
    current = current_version(store) if config.publishing.drift else None
    if current is None or current.name == run.run_id:
        return None
    entities = store.read(ENTITIES, run.graph.tables["entities"])
    rows = embedding_rows(entities, run.folder, run.manifest.partitions, config.entity_types)
    relations = {
        name: VersionRelation(
            config.relations[name].source,
            config.relations[name].target,
            config.relations[name].operator,
            state.parameters,
        )
        for name, state in run.manifest.relations.items()
    }
    former = VersionVectors(current.name, read_vectors(store, current), read_relations(store, current))
    drift = measure_drift(former, VersionVectors(run.run_id, rows, relations))
    if not drift:
        return None
    members = {row["measure"]: row["count"] for row in drift if row["entity_type"] is None and row["mean"] is None}
    return {
        "version": current.name,
        "came": members.get("came", 0),
        "went": members.get("went", 0),
        "rows": list(_rows(drift)),
        "charts": [(measure, text, _chart(drift, measure)) for measure, text in _MEASURES.items()],
    }


def _rows(drift: Sequence[DriftRow]) -> Iterator[dict[str, Any]]:
    """Yield a line of the table for each type and degree band, and each relation, with its median after rotation."""
    rotated = {_key(row): row["p50"] for row in drift if row["rotated"]}
    for row in drift:
        if row["rotated"] is not False:
            continue
        yield {
            "of": row["relation"] or row["entity_type"] or "all types",
            "degree": row["degree_band"] or "",
            "measure": row["measure"],
            "count": row["count"],
            "cells": [*(row[name] for name in _COLUMNS), rotated.get(_key(row))],
        }


def _key(row: DriftRow) -> tuple[str | None, ...]:
    return row["entity_type"], row["degree_band"], row["relation"], row["measure"]


def _chart(drift: Sequence[DriftRow], measure: str) -> str:
    """Draw the histograms of the entity types, as they are and after the best rotation."""
    histograms = {}
    for row in drift:
        if row["measure"] == measure and row["entity_type"] and row["degree_band"] is None:
            label = f"{row['entity_type']}, rotated" if row["rotated"] else row["entity_type"]
            histograms[label] = row["histogram"]
    return charts.histogram_chart(dict(sorted(histograms.items())))
