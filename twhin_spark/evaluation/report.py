"""The evaluation report: one HTML file that loads no other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
import yaml
from pyarrow import fs
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.evaluation import charts, report_summary
from twhin_spark.evaluation.charts import MODEL_COLOURS
from twhin_spark.evaluation.report_drift import report_drift
from twhin_spark.locations import absolute
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES, TRAINING_ROUNDS
from twhin_spark.training.trained_run import TrainedRun

_CHARTS = {
    "mrr": ("MRR", "mean of 1 / rank; other known targets are not ranked"),
    "recall@10": ("recall@10", "share of a source's test targets among its first 10 candidates"),
}
_MAX_RELATIONS = 8  # in a chart: as many as there are colours
_MAX_LISTED = 100  # in a table
MetricRows = Sequence[Mapping[str, Any]]  # rows of Evaluation.metrics


def write_report(
    store: TableStore, config: Config, run: TrainedRun, metrics: MetricRows, cold_share: Mapping[str, float]
) -> str:
    """Write report.html to the run's folder, so that a reader never sees half of it; return its path or URI.

    The path is absolute.
    """
    html = _render(store, config, run, metrics, cold_share)
    location = f"{absolute(run.folder.location)}/report.html"
    filesystem, path = fs.FileSystem.from_uri(location)
    with filesystem.open_output_stream(f"{path}.new") as stream:
        stream.write(html.encode())
    filesystem.move(f"{path}.new", path)
    return location


def _render(
    store: TableStore, config: Config, run: TrainedRun, metrics: MetricRows, cold_share: Mapping[str, float]
) -> str:
    graph = run.graph
    entities = store.read(ENTITIES, graph.tables["entities"])
    rounds = store.read(TRAINING_ROUNDS).where(F.col("run_id") == run.run_id)
    degrees = report_summary.degree_counts(entities, config.entity_types)
    edges = report_summary.edge_counts(store.read(EDGES, graph.tables["edges"]))
    projection = report_summary.project_entities(
        entities, run.folder, run.manifest, config.entity_types, config.training.seed
    )
    names = list(dict.fromkeys(row["metric"] for row in metrics))
    drawn = report_summary.largest_relations(graph.relations, edges, _MAX_RELATIONS)
    measured = report_summary.largest_relations(
        {row["relation"] for row in metrics} & {*graph.relations}, edges, _MAX_RELATIONS
    )
    most = set(report_summary.largest_relations(graph.relations, edges, _MAX_LISTED))
    listed = [name for name in graph.relations if name in most]
    return _template().render(
        name=config.name,
        run_id=run.run_id,
        graph_id=graph.graph_id,
        tiles=list(_tiles(config, graph.rows, degrees, edges)),
        metric_names=names,
        self_loops=config.graph.self_loops == "keep",
        both_sides=config.evaluation.sides == "both",
        drawn=len(drawn) if len(drawn) < len(graph.relations) else None,
        listed=len(listed) if len(listed) < len(graph.relations) else None,
        relation_count=len(graph.relations),
        sections=list(_sections(listed, names, metrics, cold_share)),
        rows=list(_rows(graph.rows)),
        edges=list(_edges(config, listed, edges)),
        drift=report_drift(store, config, run),
        config=_yaml(config, listed),
        charts={
            "metrics": [(*caption, _chart(metrics, name, measured)) for name, caption in _CHARTS.items() if metrics],
            "loss": charts.loss_chart(report_summary.loss_by_epoch(rounds, drawn)),
            "degrees": charts.degree_chart(degrees),
            "projection": charts.projection_chart(projection) if projection else None,
        },
    )


def _template() -> jinja2.Template:
    text = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)


def _tiles(
    config: Config,
    rows: Mapping[str, Any],
    degrees: report_summary.DegreeCounts,
    edges: Mapping[str, report_summary.EdgeCounts],
) -> Iterator[tuple[str, str]]:
    """Yield the label and the value of each number at the top."""
    yield "rows read", f"{rows['read']:,}"
    yield "rows accepted", f"{rows['accepted']:,}"
    yield "rows rejected", f"{rows['rejected']:,}"
    for entity_type, (_, counts) in degrees.items():
        yield f"entities: {entity_type}", f"{counts.sum():,}"
    yield "training edges", f"{sum(counts.train for counts in edges.values()):,}"
    yield "dimension", f"{config.training.dim}"
    yield "epochs", f"{config.training.epochs}"


def _rows(rows: Mapping[str, Any]) -> Iterator[tuple[int, str, int]]:
    """Yield depth, label and count: the counts below a line of lower depth add up to its count."""
    yield 0, "read", rows["read"]
    yield 1, "accepted", rows["accepted"]
    yield 1, "replayed", rows["replayed"]
    yield 1, "rejected", rows["rejected"]
    for reason, count in sorted(rows["rejected_by_reason"].items()):
        yield 2, reason, count
    for condition, count in rows["left_out"].items():
        yield 0, f"left out by {condition}", count


def _edges(
    config: Config, relations: Sequence[str], edges: Mapping[str, report_summary.EdgeCounts]
) -> Iterator[dict[str, Any]]:
    for name in relations:
        relation, counts = config.relations[name], edges.get(name, report_summary.EdgeCounts(0, 0, 0, 0))
        numbers = (counts.train, counts.validation, counts.test, counts.events)
        yield {"name": name, "source": relation.source, "target": relation.target, "counts": numbers}


def _chart(metrics: MetricRows, metric: str, drawn: Sequence[str]) -> str:
    values: dict[str, dict[str, float]] = {}
    for row in metrics:
        if row["metric"] == metric and row["relation"] in drawn:
            values.setdefault(row["relation"], {})[row["model"]] = row["value"]
    return charts.metric_chart(values)


def _sections(
    relations: Sequence[str], names: Sequence[str], metrics: MetricRows, cold_share: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """Yield the sections of the table of metrics: each relation, then the averages if several were measured."""
    rows_of: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in metrics:
        rows_of.setdefault(row["relation"], []).append(row)
    for relation in relations:
        share = cold_share.get(relation)
        yield {"name": relation, "average": None, "cold_share": share, **_models(names, rows_of.get(relation, []))}
    if len({row["relation"] for row in metrics} - {None}) > 1:
        for average in ("micro", "macro"):
            rows = [row for row in metrics if row["average"] == average]
            yield {"name": "all relations", "average": average, "cold_share": None, **_models(names, rows)}


def _models(names: Sequence[str], metrics: MetricRows) -> dict[str, Any]:
    """Return the measured models with their metrics, and the numbers of queries and sources of these means."""
    row_of = {(row["model"], row["metric"]): row for row in metrics}
    measured = {model: colour for model, colour in MODEL_COLOURS.items() if (model, "mrr") in row_of}
    models = []
    for model, colour in measured.items():
        cells = []
        for name in names:
            best = max(row_of[other, name]["value"] for other in measured)
            cells.append({**row_of[model, name], "best": row_of[model, name]["value"] == best})
        models.append({"name": model, "colour": colour, "cells": cells})
    return {
        "models": models,
        "queries": row_of["twhin", "mrr"]["queries"] if row_of else 0,
        "sources": row_of["twhin", "recall@10"]["queries"] if row_of else 0,
    }


def _yaml(config: Config, relations: Sequence[str]) -> str:
    """Return the config as YAML, with some of its relations."""
    document = config.model_dump(mode="json", by_alias=True)
    document["relations"] = {name: document["relations"][name] for name in relations}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
