"""The job: a published version → files → each query's candidates → blends → the table `candidates`, and its recall."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.retrieval.candidate_rows import SCHEMA, Rows
from twhin_spark.retrieval.candidate_task import Finder, Work
from twhin_spark.retrieval.entity_files import Files, Layout, write_files
from twhin_spark.retrieval.mixture_task import MixtureTask, cluster_targets
from twhin_spark.retrieval.published_entities import read_entities
from twhin_spark.retrieval.published_version import Version, find_version
from twhin_spark.retrieval.recall import measure_recall
from twhin_spark.retrieval.resolve_queries import asked_queries, merged_queries
from twhin_spark.retrieval.resolved_query import Asked
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.job_progress import task_progress
from twhin_spark.tables.schemas import CANDIDATES, EDGE_BUCKETS

SOURCES_IN_UNIT = 16_384


@dataclass(frozen=True)
class Found:
    """What a query found and took.

    gflops: 10^9 operations a second and task. share_of_sgemm: of the speed that float32 products alone have in the same
    tasks. index_seconds: that the driver searched the index.
    """

    query: str
    method: str
    sources: int
    targets: int
    task_seconds: float
    gflops: float | None = None
    share_of_sgemm: float | None = None
    index_seconds: float | None = None


@dataclass(frozen=True)
class Retrieved:
    """The result. table_version: of `candidates`. recall: rows of relation, model, metric, value and queries."""

    version: Version
    table_version: int
    rows: int
    found: list[Found]
    recall: list[dict[str, Any]] = field(default_factory=list)


def find_candidates(spark: SparkSession, config: Config, progress: Callable[[str], None]) -> Retrieved:
    """Writes the candidates of all queries and blends of the config; replaces those of an earlier job.

    Raises ConfigError where the section `retrieval` asks for what Spark or the graph does not know, InputError where
    there is no such version.
    """
    store = TableStore(spark, config.output)
    version = find_version(store, config.retrieval.version)
    queries = asked_queries(config, version)
    entities = read_entities(store, version, queries)
    progress(f"version {version.model_version}, {len(queries)} queries")
    scratch = Scratch(f"{config.output.rstrip('/')}/scratch/candidates-{uuid4().hex[:12]}")
    try:
        return _Job(store, config, version, queries, Files(scratch), progress).run(entities)
    finally:
        scratch.remove()


@dataclass(frozen=True)
class _Job:
    store: TableStore
    config: Config
    version: Version
    queries: Sequence[Asked]
    files: Files
    progress: Callable[[str], None]

    def run(self, entities: Any) -> Retrieved:
        graph = self.version.graph
        buckets = self.store.read(EDGE_BUCKETS, graph.tables["edge_buckets"])
        layout = write_files(entities, buckets, self.files, self.queries, graph.partitions)
        for query in self.queries:
            if not layout.total(query.target):
                raise InputError(f"retrieval.queries.{query.name}: the version has no vector of type '{query.target}'")
        units = cuts(layout, self.queries, 2 * self.store.spark.sparkContext.defaultParallelism)
        found = [self._find(layout, query, units[query.name]) for query in self.queries]
        rows = self._write(layout, units)
        candidates = self.store.read(CANDIDATES, rows[0])
        recall = measure_recall(self.store, self.config, self.version, self.queries, candidates, self.progress)
        return Retrieved(self.version, rows[0], rows[1], found, recall)

    def _find(self, layout: Layout, query: Asked, units: Sequence[int]) -> Found:
        spark, settings = self.store.spark, self.config.retrieval
        finder = Finder(self.files, layout, query, units)
        searched = 0.0
        if query.method == "ann":
            from twhin_spark.retrieval.ann_proposals import write_proposals  # Faiss is for this method alone

            searched = write_proposals(finder, self.config.output, self.version, settings.ann, self.progress)
            work = run_units(spark, finder.rescored, len(units) - 1, query.name, self.progress)
        elif query.method == "mixture":
            mixtures = settings.mixtures
            clusters = cluster_targets(finder, mixtures, self.progress)
            task = MixtureTask(finder, clusters, mixtures.neighbours, mixtures.smoothing)
            run_units(spark, task.write_mixtures, len(units) - 1, query.name, self.progress)
            work = run_units(spark, task.find, len(units) - 1, query.name, self.progress)
        else:
            work = run_units(spark, finder.exact, len(units) - 1, query.name, self.progress)
        found = _found(query, layout.total(query.target), work, searched)
        self.progress(f"{query.name}: {_described(found)}")
        return found

    def _write(self, layout: Layout, units: Mapping[str, Sequence[int]]) -> tuple[int, int]:
        """Writes the table; returns its version and its number of rows."""
        spark = self.store.spark
        rows = Rows(self.files, layout, self.queries, merged_queries(self.config), units)
        tasks = max(len(one) - 1 for one in units.values())

        def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            yield from rows.of([unit for batch in batches for unit in batch["id"].to_pylist()])

        made = spark.range(0, tasks, 1, tasks).mapInArrow(make, SCHEMA)
        about = {
            "model_version": self.version.model_version,
            "embeddings": self.version.table_version,
            "retrieval": self.config.retrieval.model_dump(mode="json"),
        }
        with task_progress(spark, "writing candidates", tasks, self.progress):
            version = self.store.overwrite(
                CANDIDATES,
                made.withColumn("model_version", F.lit(self.version.model_version)),
                user_metadata=json.dumps(about),
            )
        count = self.store.read(CANDIDATES, version).count()
        self.progress(f"wrote {count:,} candidates")
        return version, count


def cuts(layout: Layout, queries: Sequence[Asked], fewest: int) -> dict[str, list[int]]:
    """For each query the first partition of each unit, and the end: the same for all queries of one source type."""
    found = {}
    for query in queries:
        wanted = max(fewest, -(-layout.total(query.source) // SOURCES_IN_UNIT))
        units = max(1, min(layout.partitions, wanted))
        found[query.name] = [layout.partitions * i // units for i in range(units + 1)]
    return found


def run_units(
    spark: SparkSession, work: Callable[[int], Work], units: int, what: str, progress: Callable[[str], None]
) -> list[Work]:
    """Does the units' work, each in a task of its own."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for unit in batch["id"].to_pylist():
                yield pa.RecordBatch.from_pylist([asdict(work(unit))])

    schema = "sources BIGINT, flops DOUBLE, seconds DOUBLE, sgemm DOUBLE"
    with task_progress(spark, what, units, progress):
        rows = spark.range(0, units, 1, units).mapInArrow(run, schema).collect()
    return [Work(**row.asDict()) for row in rows]


def _found(query: Asked, targets: int, work: Sequence[Work], searched: float) -> Found:
    sources, seconds = sum(one.sources for one in work), sum(one.seconds for one in work)
    flops = sum(one.flops for one in work)
    speed, share = None, None
    if flops:
        # The time that the same products would have taken at sgemm's own speed, unit by unit.
        alone = sum(one.flops / one.sgemm for one in work if one.sgemm)
        speed, share = round(flops / seconds / 1e9, 1), round(alone / seconds, 3)
    index = round(searched, 1) if query.method == "ann" else None
    return Found(query.name, query.method, sources, targets, round(seconds, 1), speed, share, index)


def _described(found: Found) -> str:
    speed = ""
    if found.gflops is not None and found.share_of_sgemm is not None:
        speed = f", {found.gflops:.0f} GFLOP/s a task, {found.share_of_sgemm:.0%} of sgemm's"
    asked = f"{found.sources:,} sources, {found.targets:,} targets, {found.method}"
    return f"{asked}, {found.task_seconds:.1f} s of tasks{speed}"
