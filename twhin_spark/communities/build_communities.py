"""The job `communities`: similarity → KnownFor → representations → tables → one row of `community_versions`.

The row names the Delta version of each table, and writing it is the publish: readers start at it, as Delta has no
transaction over several tables. KnownFor runs on the driver, over a graph of similarities that must fit its memory; all
other work is Spark's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from twhin_spark.communities.choose_resolution import ValidationEdges, read_validation_edges, recall_of
from twhin_spark.communities.community_tables import CommunityTables
from twhin_spark.communities.community_version import CommunityVersion, find_current
from twhin_spark.communities.consumer_edges import ConsumerEdges, read_consumer_edges
from twhin_spark.communities.embeddings import interested_in, producer_embeddings
from twhin_spark.communities.known_for import KnownFor, search
from twhin_spark.communities.previous_communities import PreviousCommunities
from twhin_spark.communities.similarity import Similarity, measure_similarity
from twhin_spark.config import Config
from twhin_spark.config.communities import CommunitiesConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.graph.fingerprint import fingerprint
from twhin_spark.graph.graph_version import GraphVersion, latest_graph
from twhin_spark.tables.caching import cache
from twhin_spark.tables.delta import TableStore


@dataclass(frozen=True)
class CommunitiesResult:
    """A published version of the communities.

    Attributes
    ----------
    version
        The version and its tables.
    table_version
        Delta version of `community_versions`.
    graph
        Graph version that it was made from.
    resolution, quality
        Resolution that was used, and the objective that was reached.
    recall
        Recall of validation edges by resolution, if there were several.
    counts
        Sizes: producers, consumers, edges, cut edges, similarities, communities, and rows of each representation.
    drift
        Number of same, changed, new and lost communities.
    seconds
        Time by step.
    """

    version: CommunityVersion
    table_version: int
    graph: GraphVersion
    resolution: float
    quality: float
    recall: Mapping[float, float]
    counts: Mapping[str, int]
    drift: Mapping[str, int]
    seconds: Mapping[str, float]


def build_communities(spark: SparkSession, config: Config, progress: Callable[[str], None]) -> CommunitiesResult:
    """Find the communities of the latest graph, and publish them with all representations.

    Raises
    ------
    ConfigError
        The config has no section `communities`.
    InputError
        There is no graph, it has no edge of the consumers' relations, or no producer has enough consumers.
    """
    if config.communities is None:
        raise ConfigError("communities is null; the job requires communities.consumers.relations")
    store = TableStore(spark, config.output)
    graph = latest_graph(store)
    with ExitStack() as caches:
        return _CommunitiesJob(store, config, config.communities, graph, caches, progress).run()


@dataclass(frozen=True)
class _Trial:
    """The communities of one resolution, and the recall of validation edges if there are several."""

    resolution: float
    known_for: KnownFor
    recall: float | None = None


@dataclass(frozen=True)
class _CommunitiesJob:
    store: TableStore
    config: Config
    settings: CommunitiesConfig
    graph: GraphVersion
    caches: ExitStack
    progress: Callable[[str], None]

    def run(self) -> CommunitiesResult:
        seconds: dict[str, float] = {}
        clock = _Clock(seconds)
        edges = read_consumer_edges(self.store, self.config, self.graph, self.caches)
        similarity = measure_similarity(edges.rows, self.settings.similarity)
        size = f"{len(similarity.location):,} producers, {similarity.matrix.nnz // 2:,} similarities"
        self.progress(f"{edges.count:,} edges ({similarity.cut:,} cut), {size}")
        clock.lap("similarity")
        current = find_current(self.store)
        before = PreviousCommunities.read(self.store, self.config, self.graph, current)
        held_out = self._held_out(edges)
        trial, recall = self._search(edges, similarity, before, held_out)
        clock.lap("known_for")
        identified = before.identify(similarity.location, trial.known_for.community)
        version = self._version(current)
        tables = CommunityTables(self.store, self.config, self.graph, version, self.caches)
        tables.write_known_for(similarity, trial.known_for, identified)
        drift = tables.write_communities(similarity, identified.community, before)
        known_for = self._known_for_rows(similarity, identified.community, trial.known_for)
        counts = tables.write_embeddings(edges, known_for)
        counts |= {
            "producers": len(similarity.location),
            "edges": edges.count,
            "cut_edges": similarity.cut,
            "similarities": similarity.matrix.nnz // 2,
            "communities": len(np.unique(identified.community[identified.community >= 0])),
            "validation_consumers": len(held_out.consumers) if held_out else 0,
        }
        details = {
            "started_from": before.version,
            "resolution": trial.resolution,
            "quality": trial.known_for.quality,
            "drift": drift,
            "next_community": identified.next_community,
            "counts": json.dumps(counts, sort_keys=True),
            "config": self.settings.model_dump_json(),
        }
        published = tables.publish(details)
        clock.lap("tables")
        self.progress(
            f"published {version}: {counts['communities']:,} communities of {size}, "
            f"{', '.join(f'{count:,} {change}' for change, count in drift.items())}"
        )
        return CommunitiesResult(
            CommunityVersion(version, tables.versions), published, self.graph, trial.resolution,
            trial.known_for.quality, recall, counts, drift, seconds,
        )  # fmt: skip

    def _search(
        self,
        edges: ConsumerEdges,
        similarity: Similarity,
        before: PreviousCommunities,
        held_out: ValidationEdges | None,
    ) -> tuple[_Trial, dict[float, float]]:
        """Search with each resolution; return the best one and the recall of all."""
        settings = self.settings.known_for
        start = before.communities_of(similarity.location)
        if settings.start == "nothing":
            start = np.full(len(start), -1)
        trials = []
        for resolution in settings.resolution:
            known_for = search(similarity.matrix, settings, resolution, start)
            communities = np.unique(known_for.community[known_for.community >= 0])
            line = f"resolution {resolution:g}: {len(communities):,} communities, objective {known_for.quality:,.2f}"
            recall = None
            if held_out is not None and len(communities):
                recall = self._recall(edges, similarity, known_for, held_out)
                line += f", validation recall@{settings.recall_at} {recall:.4f}"
            self.progress(line)
            if len(communities):
                trials.append(_Trial(resolution, known_for, recall))
        if not trials:
            raise InputError(
                "communities.known_for.resolution: no two producers are in one community; raise the resolution, or "
                "lower communities.similarity.min_consumers"
            )
        recalls = {trial.resolution: trial.recall for trial in trials if trial.recall is not None}
        return max(trials, key=lambda trial: trial.recall or 0.0), recalls

    def _held_out(self, edges: ConsumerEdges) -> ValidationEdges | None:
        """Return the edges that pick a resolution, or None if there is one resolution."""
        if len(self.settings.known_for.resolution) == 1:
            return None
        return read_validation_edges(self.store, self.config, self.graph, edges.rows)

    def _recall(
        self, edges: ConsumerEdges, similarity: Similarity, known_for: KnownFor, held_out: ValidationEdges
    ) -> float:
        rows = self._known_for_rows(similarity, known_for.community, known_for)
        with ExitStack() as caches:
            interests = cache(interested_in(edges, rows, self.settings.interested_in), caches)
            producers = producer_embeddings(edges, interests, self.settings.producers)
            return recall_of(held_out, interests, producers, self.settings.known_for.recall_at)

    def _known_for_rows(self, similarity: Similarity, community: Any, known_for: KnownFor) -> DataFrame:
        """Return V: columns producer, community and known_for."""
        member = community >= 0
        columns = {
            "producer": similarity.location[member],
            "community": community[member],
            "known_for": known_for.weight[member],
        }
        return self.store.spark.createDataFrame(pa.table(columns))

    def _version(self, current: CommunityVersion | None) -> str:
        """Return the name of the new version: the same graph, settings and start give the same one."""
        start = current.model_version if current else ""
        content = (self.graph.graph_id, self.settings.model_dump_json(), start)
        return f"{self.config.name}-communities-{fingerprint(*content)[:10]}"


class _Clock:
    """Measures the seconds between laps."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self._seconds[name] = round(now - self._last, 1)
        self._last = now
