"""The jobs: each runs its stages and says in one shape what it did."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from pyspark.sql import SparkSession

from twhin_spark.config import Config
from twhin_spark.evaluation.evaluate import evaluate
from twhin_spark.graph.build import build_graph
from twhin_spark.graph.graph_version import GraphVersion, latest_graph
from twhin_spark.publishing import publish as publishing
from twhin_spark.retrieval.find_candidates import find_candidates
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import CANDIDATES, TABLES, Table
from twhin_spark.training import train as training
from twhin_spark.training.planning.forecast import Forecast, forecast
from twhin_spark.training.planning.plan import Counts, count_graph

Progress = Callable[[str], None]


@dataclass
class Summary:
    """What a job did; the last line of its stdout is this as JSON.

    seconds: wall time of the job, and stages: of each of its stages, by name; neither counts Spark's start.
    rows: read, accepted, replayed, rejected, rejected_by_reason and left_out of the graph's build.
    tables: path and Delta version of each table that the job wrote.
    metrics: each metric that the job measured, as the columns of `metrics` tell it.
    """

    job: str
    run_id: str
    seconds: float
    rows: dict[str, Any]
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    report: str | None = None
    stages: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class CandidatesSummary(Summary):
    """What `candidates` did. run_id and rows are those of the version's training and graph.

    queries: of each query its method, sources, targets, task_seconds, and the speed of an exact one: gflops a task, and
    its share of sgemm's.
    """

    model_version: str = ""
    candidates: int = 0
    queries: list[dict[str, Any]] = field(default_factory=list)


class Job:
    """The summary of a running job, which its stages add to."""

    def __init__(self, name: str, spark: SparkSession, config: Config, progress: Progress) -> None:
        self.spark, self.config, self.progress = spark, config, progress
        self.store = TableStore(spark, config.output)
        self._started = time.monotonic()
        self._summary = Summary(name, "", 0.0, {})

    def build_graph(self) -> GraphVersion:
        with self._stage("build-graph"):
            graph = build_graph(self.spark, self.config, self.progress)
            self._on(graph, training.run_id_of(self.config, graph))
            self._wrote({**graph.tables, "graph_versions": self._version("graph_versions")})
        return graph

    def train(self, *, resume: bool, take_over: bool) -> training.TrainedRun:
        with self._stage("train"):
            run = training.train(self.spark, self.config, self.progress, resume=resume, take_over=take_over)
            self._on(run.graph, run.run_id)
            self._wrote({name: self._version(name) for name in ("training_claims", "training_rounds")})
        return run

    def find_run(self) -> training.TrainedRun:
        run = training.find_run(self.config, self.store)
        self._on(run.graph, run.run_id)
        return run

    def evaluate(self, run: training.TrainedRun) -> None:
        with self._stage("evaluate"):
            evaluated = evaluate(self.spark, self.config, run, self.progress)
            self._wrote({"metrics": self._version("metrics")})
        self._summary.metrics = evaluated.metrics
        self._summary.report = evaluated.report

    def publish(self, run: training.TrainedRun) -> None:
        with self._stage("publish"):
            self._wrote(publishing.publish(self.spark, self.config, run, self.progress).tables)

    def summary(self) -> Summary:
        self._summary.seconds = round(time.monotonic() - self._started, 1)
        return self._summary

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._summary.stages[name] = round(time.monotonic() - started, 1)

    def _on(self, graph: GraphVersion, run_id: str) -> None:
        self._summary.run_id = run_id
        counts = ("read", "accepted", "replayed", "rejected", "rejected_by_reason", "left_out")
        self._summary.rows = {name: graph.rows[name] for name in counts}

    def _wrote(self, versions: dict[str, int]) -> None:
        for name, version in versions.items():
            self._summary.tables[name] = {"path": self.store.path(_table(name)), "version": version}

    def _version(self, name: str) -> int:
        version = self.store.version(_table(name))
        assert version is not None, name
        return version


def run_build_graph(spark: SparkSession, config: Config, progress: Progress) -> Summary:
    job = Job("build-graph", spark, config, progress)
    job.build_graph()
    return job.summary()


def run_train(
    spark: SparkSession, config: Config, progress: Progress, *, resume: bool = False, take_over: bool = False
) -> Summary:
    job = Job("train", spark, config, progress)
    job.train(resume=resume, take_over=take_over)
    return job.summary()


def make_plan(
    config: Config,
    *,
    entities: int | None,
    edges: int | None,
    slots: int | None,
    edges_per_second: float | None,
    open_session: Callable[[], SparkSession],
) -> Forecast:
    """What training will take. Without both counts, a session is opened and the latest graph counted.

    Of a graph that is not counted, the relations are taken to have equally many edges.
    """
    partitions = config.graph.partitions
    sampling = fmean(relation.sampling for relation in config.relations.values())
    if entities is None or edges is None:
        spark = open_session()
        store = TableStore(spark, config.output)
        graph = latest_graph(store)
        counts = count_graph(store, graph, config)
        entities = counts.entities if entities is None else entities
        edges = counts.edges if edges is None else edges
        partitions, sampling = graph.partitions, counts.sampling
        slots = slots or spark.sparkContext.defaultParallelism
        spark.stop()
    return forecast(
        config,
        Counts(entities, edges, sampling),
        partitions=partitions,
        slots=slots or os.cpu_count() or 1,
        edges_per_second=edges_per_second,
    )


def run_evaluate(spark: SparkSession, config: Config, progress: Progress) -> Summary:
    job = Job("evaluate", spark, config, progress)
    job.evaluate(job.find_run())
    return job.summary()


def run_publish(spark: SparkSession, config: Config, progress: Progress) -> Summary:
    job = Job("publish", spark, config, progress)
    job.publish(job.find_run())
    return job.summary()


def run_pipeline(
    spark: SparkSession, config: Config, progress: Progress, *, resume: bool = False, take_over: bool = False
) -> Summary:
    """build-graph, train, evaluate, publish."""
    job = Job("pipeline", spark, config, progress)
    job.build_graph()
    run = job.train(resume=resume, take_over=take_over)
    job.evaluate(run)
    job.publish(run)
    return job.summary()


def run_candidates(spark: SparkSession, config: Config, progress: Progress) -> CandidatesSummary:
    started = time.monotonic()
    found = find_candidates(spark, config, progress)
    counts = ("read", "accepted", "replayed", "rejected", "rejected_by_reason", "left_out")
    return CandidatesSummary(
        job="candidates",
        run_id=found.version.model_version,
        seconds=round(time.monotonic() - started, 1),
        rows={name: found.version.graph.rows[name] for name in counts},
        tables={
            "candidates": {"path": TableStore(spark, config.output).path(CANDIDATES), "version": found.table_version}
        },
        metrics=found.recall,
        model_version=found.version.model_version,
        candidates=found.rows,
        queries=[asdict(query) for query in found.found],
    )


def _table(name: str) -> Table:
    return next(table for table in TABLES if table.name == name)
