"""Finished builds: which versions of the tables belong together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.errors import InputError
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, GRAPH_VERSIONS


@dataclass(frozen=True)
class GraphVersion:
    """A finished build.

    graph_id: fingerprint of edges and entities; the same input gives the same id.
    tables: Delta version of each table by name.
    relations: names by their index in `edge_buckets`.
    reference_time: the last training event's time, in UTC; None where events have none.
    rows: read, accepted, replayed, rejected, rejected_by_reason {reason: n}, left_out {"where": n, "window": n}, the
        same by log under by_log, and under events what became of the accepted ones: in_edges, taken_back, self_loop,
        below_min_degree.
    """

    graph_id: str
    tables: dict[str, int]
    relations: tuple[str, ...]
    partitions: int
    reference_time: datetime | None
    rows: dict[str, Any]


def latest_graph(store: TableStore) -> GraphVersion:
    """The last finished build. Raises InputError where there is none."""
    found = find_latest_graph(store)
    if found is None:
        raise InputError(f"no graph in {store.path(GRAPH_VERSIONS)}; run build-graph first")
    return found


def find_latest_graph(store: TableStore) -> GraphVersion | None:
    if not store.exists(GRAPH_VERSIONS):
        return None
    # Versions of a table only grow, where the clocks of two machines may disagree.
    return _first(store.read(GRAPH_VERSIONS).orderBy(F.col("tables")[EDGES.name].desc()))


def find_graph(store: TableStore, graph_id: str) -> GraphVersion:
    """The build of that id. Raises InputError where there is none."""
    found = _first(store.read(GRAPH_VERSIONS).where(F.col("graph_id") == graph_id))
    if found is None:
        raise InputError(
            f"{store.path(GRAPH_VERSIONS)}: found no graph {graph_id}; run build-graph on the same logs again"
        )
    return found


def _first(rows: DataFrame) -> GraphVersion | None:
    row = rows.withColumn("micros", F.unix_micros("reference_time")).first()
    if row is None:
        return None
    micros = row["micros"]
    return GraphVersion(
        graph_id=row["graph_id"],
        tables=row["tables"],
        relations=tuple(row["relations"]),
        partitions=row["partitions"],
        reference_time=None if micros is None else utc(micros),
        rows=json.loads(row["rows"]),
    )


def utc(micros: int) -> datetime:
    """The time so many microseconds after 1970, which is exact where a float of seconds is not."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
