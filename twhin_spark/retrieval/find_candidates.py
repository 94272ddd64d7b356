"""The job `candidates`: the candidates of each query and blend, the table `candidates`, and its recall."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.retrieval.candidate_rows import SCHEMA, CandidateRows
from twhin_spark.retrieval.candidate_task import CandidateFinder, UnitStats
from twhin_spark.retrieval.community_columns import CommunityColumns
from twhin_spark.retrieval.community_task import CommunityTask
from twhin_spark.retrieval.entity_files import EntityFiles, EntityLayout, write_files
from twhin_spark.retrieval.mixture_task import MixtureTask, cluster_targets
from twhin_spark.retrieval.published_entities import read_entities
from twhin_spark.retrieval.published_version import PublishedVersion, find_version
from twhin_spark.retrieval.recall import measure_recall
from twhin_spark.retrieval.resolve_queries import resolve_blends, resolve_queries
from twhin_spark.retrieval.resolved_query import ResolvedQuery
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.job_progress import task_progress
from twhin_spark.tables.schemas import CANDIDATES, EDGE_BUCKETS
from twhin_spark.tables.worker_tasks import run_units

SOURCES_IN_UNIT = 16_384


@dataclass(frozen=True)
class QueryStats:
    """The size and the work of one query.

    Attributes
    ----------
    query, method
        Name and method of the query.
    sources, targets
        Number of sources, and of entities of the target type.
    task_seconds
        Time of all tasks.
    gflops
        10^9 operations a second and task; None if the query does not score all targets.
    share_of_sgemm
        Speed relative to float32 products alone in the same tasks; None if `gflops` is None.
    index_seconds
        Time of the driver's search in the index; None without an index.
    """

    query: str
    method: str
    sources: int
    targets: int
    task_seconds: float
    gflops: float | None = None
    share_of_sgemm: float | None = None
    index_seconds: float | None = None

    def __str__(self) -> str:
        speed = ""
        if self.gflops is not None and self.share_of_sgemm is not None:
            speed = f", {self.gflops:.0f} GFLOP/s a task, {self.share_of_sgemm:.0%} of sgemm's"
        size = f"{self.sources:,} sources, {self.targets:,} targets, {self.method}"
        return f"{self.query}: {size}, {self.task_seconds:.1f} s of tasks{speed}"


@dataclass(frozen=True)
class RetrievalResult:
    """The result of the job.

    Attributes
    ----------
    version
        Version whose vectors were searched.
    table_version
        Delta version of `candidates`.
    rows
        Number of candidates.
    queries
        Work by query.
    recall
        Rows of relation, model, metric, value and queries.
    """

    version: PublishedVersion
    table_version: int
    rows: int
    queries: list[QueryStats]
    recall: list[dict[str, Any]] = field(default_factory=list)


def find_candidates(spark: SparkSession, config: Config, progress: Callable[[str], None]) -> RetrievalResult:
    """Write the candidates of all queries and blends of the config. They replace those of an earlier job.

    Parameters
    ----------
    spark
        The session.
    config
        The config.
    progress
        Function that is called with lines of progress.

    Raises
    ------
    ConfigError
        The section `retrieval` has no query, or Spark rejects one of its conditions.
    InputError
        The version is not published, or lacks a relation or the vectors of an entity type.
    """
    store = TableStore(spark, config.output)
    version = find_version(store, config.retrieval.version)
    queries = resolve_queries(config, version)
    communities = CommunityColumns.find(store, config, queries)
    entities = read_entities(store, version, queries, communities)
    progress(f"version {version.model_version}, {len(queries)} queries")
    scratch = Scratch(f"{config.output.rstrip('/')}/scratch/candidates-{uuid4().hex[:12]}")
    try:
        job = _CandidateJob(store, config, version, queries, EntityFiles(scratch), communities, progress)
        return job.run(entities)
    finally:
        scratch.remove()


@dataclass(frozen=True)
class _CandidateJob:
    store: TableStore
    config: Config
    version: PublishedVersion
    queries: Sequence[ResolvedQuery]
    files: EntityFiles
    communities: CommunityColumns | None
    progress: Callable[[str], None]

    def run(self, entities: DataFrame) -> RetrievalResult:
        graph = self.version.graph
        buckets = self.store.read(EDGE_BUCKETS, graph.tables["edge_buckets"])
        layout = write_files(entities, buckets, self.files, self.queries, graph.partitions)
        for query in self.queries:
            if not layout.total(query.target):
                raise InputError(f"retrieval.queries.{query.name}: the version has no vector of type '{query.target}'")
        bounds = unit_bounds(layout, self.queries, 2 * self.store.spark.sparkContext.defaultParallelism)
        finders = {q.name: CandidateFinder(self.files, layout, q, bounds[q.name]) for q in self.queries}
        stats = [self._find(finder) for finder in finders.values()]
        table_version, rows = self._write(finders)
        candidates = self.store.read(CANDIDATES, table_version)
        recall = measure_recall(self.store, self.config, self.version, self.queries, candidates, self.progress)
        return RetrievalResult(self.version, table_version, rows, stats, recall)

    def _find(self, finder: CandidateFinder) -> QueryStats:
        """Find the candidates of one query and write them to files."""
        settings, index_seconds = self.config.retrieval, None
        if finder.query.method == "ann":
            from twhin_spark.retrieval.ann_proposals import write_proposals  # only this method requires Faiss

            searched = write_proposals(finder, self.config.output, self.version, settings.ann, self.progress)
            index_seconds = round(searched, 1)
            units = self._run(finder, finder.score_proposals)
        elif finder.query.method == "mixture":
            clusters = cluster_targets(finder, settings.mixtures, self.progress)
            task = MixtureTask(finder, clusters, settings.mixtures.neighbours, settings.mixtures.smoothing)
            self._run(finder, task.write_mixtures)
            units = self._run(finder, task.find)
        elif finder.query.method == "communities":
            assert self.communities is not None
            search = CommunityTask(finder, self.communities.communities(), settings.communities.communities)
            units = self._run(finder, search.find)
        else:
            units = self._run(finder, finder.score_all)
        stats = _summarise(finder, units, index_seconds)
        self.progress(str(stats))
        return stats

    def _run(self, finder: CandidateFinder, work: Callable[[int], UnitStats]) -> list[UnitStats]:
        """Run the work of each unit in a separate task."""

        def run(units: Sequence[int]) -> bytes:
            return json.dumps([asdict(work(unit)) for unit in units]).encode()

        spark = self.store.spark
        with task_progress(spark, finder.query.name, finder.units, self.progress):
            results = run_units(spark, run, finder.units)
        return [UnitStats(**stats) for result in results for stats in json.loads(result)]

    def _write(self, finders: Mapping[str, CandidateFinder]) -> tuple[int, int]:
        """Write the table; return its version and its number of rows."""
        spark = self.store.spark
        rows = CandidateRows(finders, resolve_blends(self.config))
        tasks = max(finder.units for finder in finders.values())

        def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            yield from rows.batches([unit for batch in batches for unit in batch["id"].to_pylist()])

        candidates = spark.range(0, tasks, 1, tasks).mapInArrow(make, SCHEMA)
        metadata = {
            "model_version": self.version.model_version,
            "embeddings": self.version.table_version,
            "communities": self.communities.version.model_version if self.communities else None,
            "retrieval": self.config.retrieval.model_dump(mode="json"),
        }
        with task_progress(spark, "writing candidates", tasks, self.progress):
            version = self.store.overwrite(
                CANDIDATES,
                candidates.withColumn("model_version", F.lit(self.version.model_version)),
                user_metadata=json.dumps(metadata),
            )
        count = self.store.read(CANDIDATES, version).count()
        self.progress(f"wrote {count:,} candidates")
        return version, count


def unit_bounds(layout: EntityLayout, queries: Sequence[ResolvedQuery], least: int) -> dict[str, list[int]]:
    """Return the source partitions of each query's units, as `CandidateFinder.bounds`.

    Queries of one source type have the same units, about SOURCES_IN_UNIT sources each, and at least `least` units if
    there are as many partitions. For example, 8 partitions and 3 units give the bounds 0, 2, 5, 8.
    """
    bounds = {}
    for query in queries:
        most = max(least, -(-layout.total(query.source) // SOURCES_IN_UNIT))
        units = max(1, min(layout.partitions, most))
        bounds[query.name] = [layout.partitions * i // units for i in range(units + 1)]
    return bounds


def _summarise(finder: CandidateFinder, units: Sequence[UnitStats], index_seconds: float | None) -> QueryStats:
    sources, seconds = sum(unit.sources for unit in units), sum(unit.seconds for unit in units)
    flops = sum(unit.flops for unit in units)
    speed, share = None, None
    if flops:
        # Time of the same products at the speed of sgemm alone, unit by unit.
        sgemm_seconds = sum(unit.flops / unit.sgemm for unit in units if unit.sgemm)
        speed, share = round(flops / seconds / 1e9, 1), round(sgemm_seconds / seconds, 3)
    query, targets = finder.query, finder.layout.total(finder.query.target)
    return QueryStats(query.name, query.method, sources, targets, round(seconds, 1), speed, share, index_seconds)
