"""The build of a graph from logs. Its last commit, one row of `graph_versions`, makes the build visible."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import ConfigError, InputError, TwhinError
from twhin_spark.graph.buckets import locate, pack_buckets
from twhin_spark.graph.degrees import degrees
from twhin_spark.graph.edges import aggregate
from twhin_spark.graph.entities import count_collisions, place_entities, trained_entities, with_degrees
from twhin_spark.graph.fingerprint import Content, content_of, fingerprint
from twhin_spark.graph.graph_version import GraphVersion, find_latest_graph
from twhin_spark.graph.min_degree import drop_below_min_degree
from twhin_spark.graph.retractions import count_exclusions, with_exclusions
from twhin_spark.logs.clean import CleanLogs, clean_logs, write_row_counts
from twhin_spark.logs.counts import RowCount
from twhin_spark.logs.row_checks import SPLITS
from twhin_spark.tables.caching import cache
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, EDGES, ENTITIES, GRAPH_VERSIONS, ROW_COUNTS, ddl

Progress = Callable[[str], None]


@dataclass(frozen=True)
class WrittenEdges:
    """The table `edges` as it was written.

    content: by split, for the splits that have edges.
    events: numbers of accepted events by outcome: in_edges, taken_back, self_loop, below_min_degree.
    reference_time: time of the last training event, UTC.
    """

    version: int
    rows: DataFrame
    content: dict[str, Content]
    events: dict[str, int]
    reference_time: datetime | None

    def row_counts(self) -> list[RowCount]:
        return [(None, outcome, None, count) for outcome, count in self.events.items()]


@dataclass(frozen=True)
class PlacedEntities:
    """The entities and their locations, cached. The content covers type, id, partition and row."""

    rows: DataFrame
    content: Content
    collisions: int


def build_graph(
    spark: SparkSession,
    config: Config,
    progress: Progress,
    dataframes: Mapping[str, DataFrame] | None = None,
) -> GraphVersion:
    """Read the logs, and write all tables of the graph, last the row of `graph_versions` that ties them together.

    Raises
    ------
    ConfigError
        An expression or option is invalid, or `graph.partitions` differs from that of the first build.
    InputError
        A log cannot be read, too many of its rows are rejected, or no training edge is left.
    """
    store = TableStore(spark, config.output)
    earlier = find_latest_graph(store)
    if earlier is not None and earlier.partitions != config.graph.partitions:
        raise ConfigError(
            f"graph.partitions is {config.graph.partitions}, but must be {earlier.partitions} as in the first build in "
            f"{store.output}; for another number, set another output"
        )
    with ExitStack() as caches:
        cleaned = clean_logs(spark, config, store, caches, progress, dataframes)
        edges = _write_edges(store, config, cleaned, progress)
    known = None if earlier is None else store.read(ENTITIES, earlier.tables[ENTITIES.name])
    relations = tuple(config.relations)
    with ExitStack() as caches:
        entities = _place(edges, known, config, caches, progress)
        located = locate(edges.rows, entities.rows, relations, entities.content.rows, entities.collisions)
        packed = store.overwrite(EDGE_BUCKETS, pack_buckets(located, config.graph.block_edges))
        counted = degrees(store.read(EDGE_BUCKETS, packed), config.relations)
        tables = {
            **cleaned.tables,
            EDGES.name: edges.version,
            EDGE_BUCKETS.name: packed,
            ENTITIES.name: store.overwrite(ENTITIES, with_degrees(entities.rows, counted)),
            ROW_COUNTS.name: write_row_counts(store, [*cleaned.row_counts(), *edges.row_counts()]),
        }
    graph = GraphVersion(
        graph_id=fingerprint(edges.content, entities.content, relations, config.graph.partitions),
        tables=tables,
        relations=relations,
        partitions=config.graph.partitions,
        reference_time=edges.reference_time,
        rows=_rows(cleaned, edges),
    )
    _commit(store, graph, entities.collisions, config)
    progress(f"graph {graph.graph_id} is complete")
    return graph


def _write_edges(store: TableStore, config: Config, cleaned: CleanLogs, progress: Progress) -> WrittenEdges:
    with ExitStack() as caches:
        events = with_exclusions(cleaned.events, config, caches)
        counted = count_exclusions(events, config)
        edges = aggregate(events, config, counted.reference_time)
        below = 0
        if config.graph.min_degree:
            edges = cache(edges, caches)
            kept = cache(drop_below_min_degree(edges, config.graph.min_degree, caches), caches)
            below = _sum_events(edges) - _sum_events(kept)
            edges = kept
        version = store.overwrite(EDGES, edges)
    rows = store.read(EDGES, version)
    content = content_of(EDGES.names).alias("content")
    by_split = {
        row["split"]: row for row in rows.groupBy("split").agg(content, F.sum("event_count").alias("events")).collect()
    }
    events_of = {
        "in_edges": sum(row["events"] for row in by_split.values()),
        "taken_back": counted.taken_back,
        "self_loop": counted.self_loop,
        "below_min_degree": below,
    }
    accepted = cleaned.total.accepted
    if sum(events_of.values()) != accepted:
        raise TwhinError(f"{accepted:,} events do not add up to {_summary(events_of)}; this is a bug in twhin-spark")
    contents = {split: Content(**by_split[split]["content"].asDict()) for split in SPLITS if split in by_split}
    edges_of = {split: content.rows for split, content in contents.items()}
    if "train" not in edges_of:
        raise InputError(
            f"no training edge is left of {accepted:,} accepted events ({_summary(events_of)}; "
            f"edges: {_summary(edges_of)}); check split, undone_by, graph.self_loops and graph.min_degree"
        )
    progress(f"edges: {_summary(edges_of)}; events: {_summary(events_of)}")
    return WrittenEdges(version, rows, contents, events_of, counted.reference_time)


def _place(
    edges: WrittenEdges, known: DataFrame | None, config: Config, caches: ExitStack, progress: Progress
) -> PlacedEntities:
    rows = cache(
        place_entities(trained_entities(edges.rows, config.entity_types), known, config.graph.partitions), caches
    )
    content = content_of(("entity_type", "entity_id", "partition", "row")).alias("content")
    row = rows.agg(content, F.count_distinct("entity_key").alias("keys")).first()
    assert row is not None
    entity_content = Content(**row["content"].asDict())
    progress(f"entities: {entity_content.rows:,} in {config.graph.partitions} partitions of each type")
    return PlacedEntities(rows, entity_content, 0 if row["keys"] == entity_content.rows else count_collisions(rows))


def _sum_events(edges: DataFrame) -> int:
    row = edges.agg(F.coalesce(F.sum("event_count"), F.lit(0))).first()
    assert row is not None
    return int(row[0])


def _rows(cleaned: CleanLogs, edges: WrittenEdges) -> dict[str, Any]:
    return {
        **cleaned.total.as_dict(),
        "by_log": {name: counts.as_dict() for name, counts in cleaned.counts.items()},
        "events": edges.events,
    }


def _commit(store: TableStore, graph: GraphVersion, collisions: int, config: Config) -> None:
    """Write the row of `graph_versions`. Builds of the same content share a row, which has the latest versions."""
    row = {
        "graph_id": graph.graph_id,
        "built_at": datetime.now(UTC),
        "tables": graph.tables,
        "relations": list(graph.relations),
        "partitions": graph.partitions,
        "reference_time": graph.reference_time,
        "hash_collisions": collisions,
        "rows": json.dumps(graph.rows),
        "config": config.model_dump_json(by_alias=True),
    }
    store.overwrite(
        GRAPH_VERSIONS, store.spark.createDataFrame([row], ddl(GRAPH_VERSIONS)), where=f"graph_id = '{graph.graph_id}'"
    )


def _summary(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "none"
