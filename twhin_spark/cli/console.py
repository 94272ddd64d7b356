"""What a job says to a person: progress while it runs, a table of metrics at its end, one line for an error.

All of it goes to stderr; stdout is kept for the result.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_LOG_COLUMNS = 120
METRICS = (
    "mrr",
    "hits@1",
    "hits@3",
    "hits@10",
    *(f"{name}@{k}" for name in ("recall", "ndcg") for k in (10, 20, 50, 100)),
)


class Printer:
    """Prints to stderr, with the time since the job began."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = _LOG_COLUMNS  # a log file has no width, and rich would cut tables to 80 columns
        self._started = time.monotonic()

    def progress(self, line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        self.console.print(f"[dim]{minutes:02d}:{seconds:02d}[/dim]  ", end="")
        self.console.print(line, markup=False)

    def error(self, message: str) -> None:
        for line in message.splitlines():
            self.console.print("[red]error:[/red] ", end="")
            self.console.print(line, markup=False)

    def summary(self, summary: Mapping[str, Any]) -> None:
        """The rows, metrics, tables and report of a job's result."""
        rows = summary["rows"]
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in rows["rejected_by_reason"].items())
        counts = ", ".join(f"{name} {rows[name]:,}" for name in ("read", "accepted", "replayed", "rejected"))
        self.console.print(f"\nrows: {counts}" + (f" ({reasons})" if reasons else ""), markup=False)
        if summary["metrics"]:
            self.console.print(metrics_table(summary["metrics"]))
        for name, table in summary["tables"].items():
            self.console.print(f"{name}: {table['path']} version {table['version']}", markup=False)
        if summary["report"]:
            self.console.print(f"report: {summary['report']}", markup=False)

    def clusters(self, nearest: Sequence[tuple[float, int, Sequence[str]]]) -> None:
        """Clusters of content: cosine to the entity, size, most typical members."""
        table = Table(title="Nearest clusters", title_justify="left")
        for heading in ("cosine", "size", "most typical members"):
            table.add_column(heading, justify="left" if heading == "most typical members" else "right")
        for cosine, size, typical in nearest:
            table.add_row(f"{cosine:.3f}", f"{size:,}", escape(" ".join(typical)))
        self.console.print(table)


def metrics_table(metrics: Sequence[Mapping[str, Any]]) -> Table:
    """Metrics by relation and model, the best of each relation in bold; at the end those over several relations."""
    several = len({m["relation"] for m in metrics} - {None}) > 1
    metrics = [
        {**m, "relation": f"all, {m['average']}" if m["relation"] is None else m["relation"]}
        for m in metrics
        if several or m["relation"] is not None
    ]
    values = {(m["relation"], m["model"], m["metric"]): m["value"] for m in metrics}
    columns = [name for name in METRICS if any(name == metric for _, _, metric in values)]
    columns += sorted({metric for _, _, metric in values} - set(METRICS))
    queries = {relation: next(m["queries"] for m in metrics if m["relation"] == relation) for relation, _, _ in values}
    table = Table(title="Test split", title_justify="left")
    for heading in ("relation", "queries", "model", *columns):
        table.add_column(heading, justify="left" if heading in ("relation", "model") else "right")
    for relation, count in queries.items():
        models = [model for r, model, metric in values if r == relation and metric == columns[0]]
        best = {metric: max(values[relation, model, metric] for model in models) for metric in columns}
        for i, model in enumerate(models):
            cells = [values[relation, model, metric] for metric in columns]
            shown = [
                f"[bold]{v:.4f}[/bold]" if v == best[m] else f"{v:.4f}" for m, v in zip(columns, cells, strict=True)
            ]
            table.add_row(
                "" if i else relation, "" if i else f"{count:,}", model, *shown, end_section=model == models[-1]
            )
    return table
