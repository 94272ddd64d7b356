"""The demo's last page: neighbours beside the planted communities, and SQL queries to try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from rich.table import Table

from twhin_spark.cli.console import Printer
from twhin_spark.config import Config
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, METRICS

NEIGHBOURS = 10
SAMPLE = 1000  # entities of each type whose neighbours are compared with the planted communities
SHOWN = 4  # of them in the table


def show_demo(spark: SparkSession, config: Config, summary: dict[str, Any], printer: Printer) -> None:
    """Print neighbours of some entities beside their planted communities, and SQL queries to try."""
    store = TableStore(spark, config.output)
    vectors = store.read(EMBEDDINGS).select("entity_type", "entity_id", "embedding").toPandas()
    truth = pd.read_parquet(Path(config.output) / "logs" / "communities.parquet")
    entities = vectors.merge(truth, on=["entity_type", "entity_id"]).sort_values(["entity_type", "entity_id"])
    table = Table(title="Nearest neighbours (cosine); * shares the planted community", title_justify="left")
    for heading in ("type", "entity", "community", "neighbours"):
        table.add_column(heading)
    shares = []
    for entity_type, group in entities.groupby("entity_type"):
        ids, communities = group["entity_id"].to_numpy(), group["community"].to_numpy()
        picked = np.random.default_rng(0).permutation(len(ids))[:SAMPLE]
        near = nearest(np.stack(group["embedding"].to_list()), picked, NEIGHBOURS)  # (sample, 10)
        for i, row in zip(picked[:SHOWN], near, strict=False):
            marked = " ".join(f"{ids[j]}{'*' if communities[j] == communities[i] else ''}" for j in row[:5])
            table.add_row(str(entity_type), ids[i], str(communities[i]), marked)
        share, chance = shared_community(communities, picked, near)
        shares.append(
            f"{entity_type}: {share:.1%} of {NEIGHBOURS} neighbours share the community, "
            f"{share / chance:.0f} times the chance rate of {chance:.1%}"
        )
    printer.line()
    printer.table(table)
    for line in shares:
        printer.line(line)
    printer.line("\nSQL to try, each by: twhin-spark sql '...'")
    for query in queries(store, str(entities["entity_id"].iloc[0]), str(entities["entity_type"].iloc[0])):
        printer.line(f"\n{query}")
    printer.line()


def nearest(vectors: Floats, rows: Integers, count: int) -> Integers:
    """Return the rows of `vectors` (n, dim) with the highest cosine to each of `rows` (m,) but itself: (m, count)."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scores = unit[rows] @ unit.T  # (m, n)
    scores[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def shared_community(communities: Integers, rows: Integers, near: Integers) -> tuple[float, float]:
    """Return the share of neighbours (m, k) in the community of their row (m,), and its expectation by chance."""
    share = (communities[near] == communities[rows][:, None]).mean()
    sizes = np.bincount(communities)
    chance = ((sizes[communities[rows]] - 1) / (len(communities) - 1)).mean()
    return float(share), float(chance)


def queries(store: TableStore, entity_id: str, entity_type: str) -> list[str]:
    """Return three Spark SQL queries without single quotes, so that a shell takes them between two."""
    embeddings, metrics = (f"delta.`{store.path(table)}`" for table in (EMBEDDINGS, METRICS))
    dot = "aggregate(zip_with(a.embedding, b.embedding, (x, y) -> x * y), 0D, (sum, x) -> sum + x)"
    return [
        f"SELECT entity_type, model_version, count(*) AS vectors, avg(norm) AS norm FROM {embeddings} GROUP BY ALL",
        f"SELECT b.entity_id, {dot} / (a.norm * b.norm) AS cosine FROM {embeddings} a JOIN {embeddings} b "
        f"ON a.entity_type = b.entity_type AND a.entity_id <> b.entity_id "
        f'WHERE a.entity_type = "{entity_type}" AND a.entity_id = "{entity_id}" ORDER BY cosine DESC LIMIT 10',
        f"SELECT relation, average, model, metric, round(value, 4) AS value, queries FROM {metrics} "
        'WHERE metric IN ("mrr", "recall@10") ORDER BY ALL',
    ]
