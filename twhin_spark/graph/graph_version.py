"""Graph versions: finished builds, each with the versions of the tables that belong together."""

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
    reference_time: time of the last training event in UTC; None if no event has a time.
    rows: read, accepted, replayed, rejected, rejected_by_reason {reason: n}, left_out {"where": n, "window": n}, the
        same by log under by_log, and under events the accepted events by outcome: in_edges, taken_back, self_loop,
        below_min_degree.
    """

    graph_id: str
    tables: dict[str, int]
    relations: tuple[str, ...]
    partitions: int
    reference_time: datetime | None
    rows: dict[str, Any]


def latest_graph(store: TableStore) -> GraphVersion:
    """Return the latest finished build. Raise InputError if there is none."""
    graph = find_latest_graph(store)
    if graph is None:
        raise InputError(f"no graph in {store.path(GRAPH_VERSIONS)}; run build-graph first")
    return graph


def find_latest_graph(store: TableStore) -> GraphVersion | None:
    """Return the latest finished build, or None."""
    if not store.exists(GRAPH_VERSIONS):
        return None
    # Versions of a table only grow, whereas the clocks of two machines may disagree.
    return _first(store.read(GRAPH_VERSIONS).orderBy(F.col("tables")[EDGES.name].desc()))


def find_graph(store: TableStore, graph_id: str) -> GraphVersion:
    """Return the build with an id. Raise InputError if there is none."""
    graph = _first(store.read(GRAPH_VERSIONS).where(F.col("graph_id") == graph_id))
    if graph is None:
        raise InputError(f"no graph {graph_id} in {store.path(GRAPH_VERSIONS)}; run build-graph on the same logs again")
    return graph


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
    """Convert microseconds since 1970 to a datetime. A float of seconds would not be exact."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
