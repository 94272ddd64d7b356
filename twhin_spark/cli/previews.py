"""Tables that show a job's result when it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.markup import escape
from rich.table import Table

from twhin_spark.cli.console import Printer
from twhin_spark.config import Config
from twhin_spark.sql.entity_communities import WeightedCommunity
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import CANDIDATES, COMMUNITIES

_SOURCES = 3  # of each query or blend
_CANDIDATES = 5  # of each source, and members of a community
_COMMUNITIES = 5
_RELATIONS = 20  # in the table of metrics
_METRICS = (
    "mrr",
    "hits@1",
    "hits@3",
    "hits@10",
    *(f"{name}@{k}" for name in ("recall", "ndcg") for k in (10, 20, 50, 100)),
)


def show_summary(summary: Mapping[str, Any], printer: Printer) -> None:
    """Print the rows, metrics, tables and report of a job's result."""
    rows = summary["rows"]
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in rows["rejected_by_reason"].items())
    counts = ", ".join(f"{name} {rows[name]:,}" for name in ("read", "accepted", "replayed", "rejected"))
    printer.line(f"\nrows: {counts}" + (f" ({reasons})" if reasons else ""))
    if summary["metrics"]:
        printer.table(metrics_table(summary["metrics"]))
    for name, table in summary["tables"].items():
        printer.line(f"{name}: {table['path']} version {table['version']}")
    if summary["report"]:
        printer.line(f"report: {summary['report']}")


def metrics_table(metrics: Sequence[Mapping[str, Any]]) -> Table:
    """Return the metrics by relation and model, each relation's best in bold; averages over relations come last.

    Of very many relations, those with the most queries are shown.
    """
    several = len({row["relation"] for row in metrics} - {None}) > 1
    named = [
        {**row, "relation": row["relation"] or f"all, {row['average']}"}
        for row in metrics
        if several or row["relation"] is not None
    ]
    values = {(row["relation"], row["model"], row["metric"]): row["value"] for row in named}
    queries = {row["relation"]: row["queries"] for row in reversed(named)}
    measured = {metric for _, _, metric in values}
    columns = [*(name for name in _METRICS if name in measured), *sorted(measured - set(_METRICS))]
    models_of: dict[str, list[str]] = {}
    for relation, model, metric in values:
        if metric == columns[0]:
            models_of.setdefault(relation, []).append(model)
    single = list(dict.fromkeys(row["relation"] for row in metrics if row["relation"] is not None))
    shown = set(sorted(single, key=lambda name: -queries[name])[:_RELATIONS])
    title = "Test split" + (f", {_RELATIONS} of {len(single):,} relations" if len(shown) < len(single) else "")
    table = _table(title, "relation", "queries", "model", *columns, right=("queries", *columns))
    for relation, models in models_of.items():
        if relation in single and relation not in shown:
            continue
        best = {metric: max(values[relation, model, metric] for model in models) for metric in columns}
        for model in models:
            first = model == models[0]
            cells = [
                f"[bold]{value:.4f}[/bold]" if value == best[metric] else f"{value:.4f}"
                for metric in columns
                for value in [values[relation, model, metric]]
            ]
            names = (relation, f"{queries[relation]:,}") if first else ("", "")
            table.add_row(*names, model, *cells, end_section=model == models[-1])
    return table


def show_candidates(spark: SparkSession, config: Config, summary: Mapping[str, Any], printer: Printer) -> None:
    """Print the first candidates of some sources for each query and blend, and an SQL query for more of them."""
    store = TableStore(spark, config.output)
    rows = store.read(CANDIDATES, summary["tables"]["candidates"]["version"])
    first = rows.where(F.col("rank") == 1).groupBy("query").agg(F.sort_array(F.collect_set("source_id")).alias("ids"))
    examples = first.select("query", F.explode(F.slice("ids", 1, _SOURCES)).alias("source_id"))
    shown = (
        rows.where(F.col("rank") <= _CANDIDATES)
        .join(F.broadcast(examples), ["query", "source_id"])
        .orderBy("query", "source_id", "rank")
        .collect()
    )
    candidates: dict[tuple[str, str], list[str]] = {}
    for row in shown:
        source = (row["query"], f"{row['source_type']} {row['source_id']}")
        candidates.setdefault(source, []).append(f"{row['candidate_id']} {row['score']:.3f}")
    table = _table("Some candidates, with their scores", "query", "source", "candidates")
    for source, texts in candidates.items():
        table.add_row(*map(escape, source), escape("  ".join(texts)))
    printer.table(table)
    for row in shown[:1]:
        printer.line(
            f"\ntwhin-spark sql 'SELECT rank, candidate_id, score, tags FROM delta.`{store.path(CANDIDATES)}` "
            f'WHERE query = "{row["query"]}" AND source_id = "{row["source_id"]}" ORDER BY rank\'\n'
        )


def show_communities(spark: SparkSession, config: Config, summary: Mapping[str, Any], printer: Printer) -> None:
    """Print the largest communities of the job's version with their first members."""
    rows = TableStore(spark, config.output).read(COMMUNITIES, summary["tables"]["communities"]["version"])
    largest = rows.orderBy(F.col("size").desc(), "community").limit(_COMMUNITIES).collect()
    columns = ("community", "size", "recall", "precision")
    table = _table("The largest communities", *columns, "first members", right=columns)
    for row in largest:
        members = "  ".join(member["entity_id"] for member in row["members"][:_CANDIDATES])
        numbers = (f"{row['community']}", f"{row['size']:,}", f"{row['recall']:.2f}", f"{row['precision']:.2f}")
        table.add_row(*numbers, escape(members))
    printer.table(table)


def show_clusters(nearest: Sequence[tuple[float, int, Sequence[str]]], printer: Printer) -> None:
    """Print clusters of content: cosine to the entity, number of members, most typical members."""
    table = _table("Nearest clusters", "cosine", "size", "most typical members", right=("cosine", "size"))
    for cosine, size, typical in nearest:
        table.add_row(f"{cosine:.3f}", f"{size:,}", escape(" ".join(typical)))
    printer.table(table)


def show_entity_communities(families: Mapping[str, Sequence[WeightedCommunity]], printer: Printer) -> None:
    """Print the communities of an entity by family."""
    columns = ("community", "weight", "share", "size")
    for family, communities in families.items():
        table = _table(family, *columns, "first members", right=columns)
        for found in communities:
            numbers = (f"{found.community}", f"{found.weight:.3f}", f"{found.share:.0%}", f"{found.size:,}")
            table.add_row(*numbers, escape("  ".join(found.members)))
        printer.table(table)


def _table(title: str, *headings: str, right: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left")
    return table


def show_versions(listed: Sequence[Mapping[str, Any]], printer: Printer) -> None:
    """Print a table of published versions."""
    table = _table(
        "Versions", "version", "published", "table", "tags", "started from", "aligned to", "", right=("table",)
    )
    for version in listed:
        state = "current" if version["current"] else "vacuumed" if version["vacuumed_at"] else ""
        table.add_row(
            escape(version["model_version"]),
            version["published_at"][:19],
            str(version["table_version"]),
            escape(", ".join(version["tags"])),
            escape(version["started_from"] or ""),
            escape(version["aligned_to"] or ""),
            ", ".join(filter(None, [state, "forced" if version["forced"] else ""])),
        )
    printer.table(table)


def show_drift(difference: Mapping[str, Any], printer: Printer) -> None:
    """Print the drift between two versions by entity type, and of the relations."""
    title = f"Drift from {difference['from_version']} to {difference['to_version']}"
    columns = ("count", "mean", "p5", "p50", "p95")
    table = _table(title, "of", "measure", "rotated", *columns, right=columns)
    for row in difference["drift"]:
        if row["degree_band"] is None:
            of = row["relation"] or row["entity_type"] or "all"
            values = ["" if row[name] is None else f"{row[name]:.4f}" for name in columns[1:]]
            rotated = "best rotation" if row["rotated"] else ""
            table.add_row(escape(of), row["measure"], rotated, f"{row['count']:,}", *values)
    printer.table(table)
