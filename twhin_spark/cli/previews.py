"""A few candidates, to be looked at when the job has ended."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.table import Table

from twhin_spark.cli.console import Printer
from twhin_spark.config import Config
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import CANDIDATES

SOURCES = 3  # of each query or blend
CANDIDATES_SHOWN = 5


def show_candidates(spark: SparkSession, config: Config, summary: dict[str, Any], printer: Printer) -> None:
    """Prints the first candidates of some sources, for each query and blend, and SQL to go on with."""
    store = TableStore(spark, config.output)
    rows = store.read(CANDIDATES, summary["tables"]["candidates"]["version"])
    first = rows.where(F.col("rank") == 1).groupBy("query").agg(F.sort_array(F.collect_set("source_id")).alias("ids"))
    examples = first.select("query", F.explode(F.slice("ids", 1, SOURCES)).alias("source_id"))
    shown = (
        rows.where(F.col("rank") <= CANDIDATES_SHOWN)
        .join(F.broadcast(examples), ["query", "source_id"])
        .orderBy("query", "source_id", "rank")
        .collect()
    )
    table = Table(title="Some candidates, with their scores", title_justify="left")
    for heading in ("query", "source", "candidates"):
        table.add_column(heading)
    lines: dict[tuple[str, str], list[str]] = {}
    for row in shown:
        line = lines.setdefault((row["query"], f"{row['source_type']} {row['source_id']}"), [])
        line.append(f"{row['candidate_id']} {row['score']:.3f}")
    for (query, source), candidates in lines.items():
        table.add_row(query, source, "  ".join(candidates))
    printer.console.print(table)
    path = store.path(CANDIDATES)
    for row in shown[:1]:
        condition = f'query = "{row["query"]}" AND source_id = "{row["source_id"]}"'
        printer.console.print(
            f"\n.venv/bin/twhin-spark sql 'SELECT rank, candidate_id, score, tags FROM delta.`{path}` "
            f"WHERE {condition} ORDER BY rank'\n",
            markup=False,
        )
