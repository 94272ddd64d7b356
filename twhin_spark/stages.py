"""The jobs: each runs its stages and returns a summary of what it did. These functions are the public API's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from twhin_spark.communities.build_communities import build_communities as publish_communities
from twhin_spark.config import Config
from twhin_spark.evaluation.evaluate import evaluate as evaluate_run
from twhin_spark.graph.build import build_graph as build_tables
from twhin_spark.graph.graph_version import GraphVersion, latest_graph
from twhin_spark.logs.path_checks import check_inputs, use_dataframes
from twhin_spark.publishing.publish import publish as publish_run
from twhin_spark.retrieval.find_candidates import find_candidates as write_candidates
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.preflight import check_workers
from twhin_spark.tables.schemas import CANDIDATES, TABLES, Table
from twhin_spark.tables.session_cores import session_cores
from twhin_spark.training import train as training
from twhin_spark.training.planning.forecast import Cluster, Forecast, forecast
from twhin_spark.training.planning.plan import GraphSize, measure_graph
from twhin_spark.training.start_version import choose_start, run_id_of
from twhin_spark.training.trained_run import TrainedRun, find_run

Progress = Callable[[str], None]

_ROW_COUNTS = ("read", "accepted", "replayed", "rejected", "rejected_by_reason", "left_out")


def quiet(line: str) -> None:
    """Drop a line of progress."""


@dataclass
class Summary:
    """The result of a job. The command line prints it as JSON.

    Attributes
    ----------
    job
        Name of the job.
    run_id
        The training run that belongs to this config and its latest graph, whether it was trained or not.
    seconds
        Wall time of the job, without Spark's start.
    rows
        Counts of the graph's build: read, accepted, replayed, rejected, rejected_by_reason and left_out.
    tables
        Path and Delta version of each table that the job wrote, by table name.
    metrics
        The metrics that the job measured, each with the columns of the table `metrics`.
    report
        Path or URI of the report, if the job wrote one.
    stages
        Wall time in seconds of each stage, by name.
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
    """The result of `find_candidates`. `run_id` and `rows` are those of the version's training and graph.

    Attributes
    ----------
    model_version
        The version whose vectors were compared.
    candidates
        Rows that were written.
    queries
        For each query its method, sources, targets and task_seconds; for an exact one also its gflops (10⁹ operations a
        second and task), and their share of the speed of float32 matrix products alone.
    """

    model_version: str = ""
    candidates: int = 0
    queries: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class CommunitiesSummary(Summary):
    """The result of `build_communities`. `run_id` is the version of the communities, and `rows` those of its graph.

    Attributes
    ----------
    model_version
        The version that was published.
    resolution, objective
        Resolution of the search, and the objective that it reached.
    recall
        Recall of validation edges by resolution, if there were several.
    counts
        Number of producers, consumers, edges, cut edges, similarities and communities, and of rows by representation.
    drift
        Number of same, changed, new and lost communities since the version before.
    """

    model_version: str = ""
    resolution: float = 0.0
    objective: float = 0.0
    recall: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    drift: dict[str, int] = field(default_factory=dict)


def build_graph(
    spark: SparkSession, config: Config, *, logs: Mapping[str, DataFrame] | None = None, progress: Progress = quiet
) -> Summary:
    """Clean the logs and build the graph's tables.

    Parameters
    ----------
    spark
        A session of `open_session`, or one with the same settings.
    config
        A config of `load_config`.
    logs
        Rows of logs by name, in place of the files of `logs.NAME.path`. The log's `where` and `select` are applied to
        the DataFrame's columns. A log with `format: dataframe` needs it.
    progress
        Receives each line of progress. The default drops them.

    Returns
    -------
    Summary
        With the counts of rows, and the versions of the tables.

    Raises
    ------
    ConfigError
        An option or an expression of the config is wrong.
    InputError
        A log cannot be read, too many of its rows are rejected, or no training edge is left.
    """
    job = _Job("build-graph", spark, config, progress)
    job.build_graph(logs or {})
    return job.summary()


def train(
    spark: SparkSession,
    config: Config,
    *,
    resume: bool = False,
    take_over: bool = False,
    progress: Progress = quiet,
) -> Summary:
    """Train the vectors on the latest graph.

    Parameters
    ----------
    spark
        A session of `open_session`, or one with the same settings.
    config
        A config of `load_config`.
    progress
        Receives each line of progress. The default drops them.
    resume
        Continue after the last committed round of this config's training, if it was stopped.
    take_over
        Train although another driver holds the run. Only for a driver that is known to be dead.

    Raises
    ------
    ConfigError
        The model does not fit `training.task_memory_gb`, or the run to resume had other settings.
    InputError
        There is no graph, or a state file is damaged.
    TrainingError
        The loss is not finite, a disk is full, or another driver holds the run.
    """
    job = _Job("train", spark, config, progress)
    job.train(resume=resume, take_over=take_over)
    return job.summary()


def evaluate(spark: SparkSession, config: Config, *, progress: Progress = quiet) -> Summary:
    """Measure the config's trained run and its baselines on the test split; write `metrics` and the report.

    Parameters
    ----------
    spark
        A session of `open_session`, or one with the same settings.
    config
        A config of `load_config`.
    progress
        Receives each line of progress. The default drops them.

    Returns
    -------
    Summary
        With the metrics, and the report's path.

    Raises
    ------
    InputError
        This config has no complete training on the latest graph.
    """
    job = _Job("evaluate", spark, config, progress)
    job.evaluate(job.find_run())
    return job.summary()


def publish(spark: SparkSession, config: Config, *, force: str | None = None, progress: Progress = quiet) -> Summary:
    """Commit the config's trained run as the current model version.

    Parameters
    ----------
    spark
        A session of `open_session`, or one with the same settings.
    config
        A config of `load_config`.
    force
        The reason to publish although gates of `publishing.gates` fail. It is recorded with the version.
    progress
        Receives each line of progress. The default drops them.

    Raises
    ------
    InputError
        This config has no complete training on the latest graph.
    TwhinError
        The run does not pass the gates of `publishing.gates`, or another publish was faster.
    """
    job = _Job("publish", spark, config, progress)
    job.publish(job.find_run(), force)
    return job.summary()


def pipeline(
    spark: SparkSession,
    config: Config,
    *,
    logs: Mapping[str, DataFrame] | None = None,
    resume: bool = False,
    take_over: bool = False,
    progress: Progress = quiet,
) -> Summary:
    """Run `build_graph`, `train`, `evaluate` and `publish`, one after the other.

    Parameters
    ----------
    spark
        A session of `open_session`, or one with the same settings.
    config
        A config of `load_config`.
    logs
        As for `build_graph`.
    progress
        Receives each line of progress. The default drops them.
    resume
        As for `train`.
    take_over
        As for `train`.

    Returns
    -------
    Summary
        Of all four stages together.

    Raises
    ------
    TwhinError
        As the four stages do.
    """
    job = _Job("pipeline", spark, config, progress)
    job.build_graph(logs or {})
    run = job.train(resume=resume, take_over=take_over)
    job.evaluate(run)
    job.publish(run, None)
    return job.summary()


def find_candidates(spark: SparkSession, config: Config, *, progress: Progress = quiet) -> CandidatesSummary:
    """Find candidates for the queries of `retrieval` in a published version; write the table `candidates`.

    Parameters
    ----------
    spark
        A session of `open_session`, or one with the same settings.
    config
        A config of `load_config`.
    progress
        Receives each line of progress. The default drops them.

    Raises
    ------
    ConfigError
        `retrieval` names something that Spark or the graph does not know.
    InputError
        There is no such version.
    """
    started = time.monotonic()
    check_workers(spark, config.output, progress)
    written = write_candidates(spark, config, progress)
    return CandidatesSummary(
        job="candidates",
        run_id=written.version.model_version,
        seconds=round(time.monotonic() - started, 1),
        rows={name: written.version.graph.rows[name] for name in _ROW_COUNTS},
        tables={
            "candidates": {"path": TableStore(spark, config.output).path(CANDIDATES), "version": written.table_version}
        },
        metrics=written.recall,
        model_version=written.version.model_version,
        candidates=written.rows,
        queries=[asdict(query) for query in written.queries],
    )


def build_communities(spark: SparkSession, config: Config, *, progress: Progress = quiet) -> CommunitiesSummary:
    """Find communities in the latest graph, and publish them with the sparse representations made from them.

    Parameters
    ----------
    spark
        A session of `open_session`, or one with the same settings.
    config
        A config of `load_config`, with the section `communities`.
    progress
        Receives each line of progress. The default drops them.

    Raises
    ------
    ConfigError
        The config has no section `communities`.
    InputError
        There is no graph, or it has no community with these settings.
    """
    started = time.monotonic()
    check_workers(spark, config.output, progress)
    result = publish_communities(spark, config, progress)
    store = TableStore(spark, config.output)
    tables = {**result.version.tables, "community_versions": result.table_version}
    return CommunitiesSummary(
        job="communities",
        run_id=result.version.model_version,
        seconds=round(time.monotonic() - started, 1),
        rows={name: result.graph.rows[name] for name in _ROW_COUNTS},
        tables={name: {"path": store.path(_table(name)), "version": version} for name, version in tables.items()},
        stages=dict(result.seconds),
        model_version=result.version.model_version,
        resolution=result.resolution,
        objective=result.quality,
        recall={f"{resolution:g}": recall for resolution, recall in result.recall.items()},
        counts=dict(result.counts),
        drift=dict(result.drift),
    )


def plan(
    config: Config,
    *,
    entities: int | None,
    edges: int | None,
    edges_per_second: float | None,
    machines: int | None,
    cores: int | None,
    open_session: Callable[[], SparkSession],
    **bounds: float | None,
) -> Forecast:
    """Forecast a training. Unless both counts are given, a session is opened and the latest graph counted.

    The relations of a graph that is not counted are assumed to have equally many edges. bounds: other fields of
    `Cluster`.
    """
    partitions = config.graph.partitions
    sampling = fmean(relation.sampling for relation in config.relations.values())
    of_executor, executors = os.cpu_count() or 1, 1
    if entities is None or edges is None:
        spark = open_session()
        store = TableStore(spark, config.output)
        graph = latest_graph(store)
        counts = measure_graph(store, graph, config)
        entities = counts.entities if entities is None else entities
        edges = counts.edges if edges is None else edges
        partitions, sampling = graph.partitions, counts.sampling
        session = session_cores(spark)
        of_executor, executors = session.of_executor, session.total // session.of_executor
        spark.stop()
    return forecast(
        config,
        GraphSize(entities, edges, sampling),
        partitions=partitions,
        cluster=Cluster(machines or executors, cores or of_executor, **bounds),
        edges_per_second=edges_per_second,
    )


class _Job:
    """The summary of a running job, which its stages complete."""

    def __init__(self, name: str, spark: SparkSession, config: Config, progress: Progress) -> None:
        self.spark, self.config, self.progress = spark, config, progress
        self.store = TableStore(spark, config.output)
        self._started = time.monotonic()
        self._cpus = check_workers(spark, config.output, progress)
        self._summary = Summary(name, "", 0.0, {})

    def build_graph(self, logs: Mapping[str, DataFrame]) -> None:
        config = use_dataframes(self.config, logs)
        check_inputs(config)
        with self._stage("build-graph"):
            graph = build_tables(self.spark, config, self.progress, logs)
            self._add_run(graph, run_id_of(self.config, graph, choose_start(self.config, self.store, graph)))
            self._add_tables({**graph.tables, "graph_versions": self._version("graph_versions")})

    def train(self, *, resume: bool, take_over: bool) -> TrainedRun:
        with self._stage("train"):
            cpu = " and ".join(self._cpus)
            run = training.train(self.spark, self.config, self.progress, resume=resume, take_over=take_over, cpu=cpu)
            self._add_run(run.graph, run.run_id)
            self._add_tables({name: self._version(name) for name in ("training_claims", "training_rounds")})
        return run

    def find_run(self) -> TrainedRun:
        run = find_run(self.config, self.store)
        self._add_run(run.graph, run.run_id)
        return run

    def evaluate(self, run: TrainedRun) -> None:
        with self._stage("evaluate"):
            evaluation = evaluate_run(self.spark, self.config, run, self.progress)
            self._add_tables({"metrics": self._version("metrics")})
        self._summary.metrics = evaluation.metrics
        self._summary.report = evaluation.report

    def publish(self, run: TrainedRun, force: str | None) -> None:
        with self._stage("publish"):
            published = publish_run(self.spark, self.config, run, self.progress, force=force)
            self._add_tables(published.tables)

    def summary(self) -> Summary:
        self._summary.seconds = round(time.monotonic() - self._started, 1)
        return self._summary

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._summary.stages[name] = round(time.monotonic() - started, 1)

    def _add_run(self, graph: GraphVersion, run_id: str) -> None:
        self._summary.run_id = run_id
        self._summary.rows = {name: graph.rows[name] for name in _ROW_COUNTS}

    def _add_tables(self, versions: Mapping[str, int]) -> None:
        for name, version in versions.items():
            self._summary.tables[name] = {"path": self.store.path(_table(name)), "version": version}

    def _version(self, name: str) -> int:
        version = self.store.version(_table(name))
        assert version is not None, name
        return version


def _table(name: str) -> Table:
    return next(table for table in TABLES if table.name == name)
