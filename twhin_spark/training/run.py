"""Training: plan → first vectors → epochs of rounds, each committed → a complete run."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.graph.version import GraphVersion, latest_graph
from twhin_spark.kernels.losses import Logistic, Softmax
from twhin_spark.kernels.step import LossSettings
from twhin_spark.kernels.train import TrainSettings
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, ENTITIES
from twhin_spark.training.initial import write_initial_state
from twhin_spark.training.log import RoundLog
from twhin_spark.training.plan import resolve_plan
from twhin_spark.training.relations import RelationSettings, initial_state
from twhin_spark.training.rounds import RoundReport, run_round
from twhin_spark.training.schedule import rounds_of_epoch
from twhin_spark.training.state import Manifest, RunFolder
from twhin_spark.training.task import RunSettings


@dataclass(frozen=True)
class TrainedRun:
    """A complete training run and the graph it was trained on."""

    run_id: str
    folder: RunFolder
    manifest: Manifest
    graph: GraphVersion


def run_id_of(config: Config, graph: GraphVersion) -> str:
    """The run's name: the same graph, relations and training options give the same run."""
    relations = [config.relations[name].model_dump_json() for name in graph.relations]
    content = repr((graph.graph_id, graph.relations, relations, config.training.model_dump_json()))
    return f"{config.name}-{hashlib.blake2b(content.encode(), digest_size=5).hexdigest()}"


def find_run(config: Config, store: TableStore) -> TrainedRun:
    """The complete run of this config on the latest graph. Raises InputError where there is none."""
    graph = latest_graph(store)
    run_id = run_id_of(config, graph)
    folder = RunFolder(config.output, run_id)
    manifest = folder.latest()
    if manifest is None or not manifest.complete:
        found = "no training" if manifest is None else f"a training that ended in epoch {manifest.epoch + 1}"
        raise InputError(
            f"{folder.location}: found {found} for this config and graph; run train with this config first"
        )
    return TrainedRun(run_id, folder, manifest, graph)


def train(spark: SparkSession, config: Config, progress: Callable[[str], None]) -> TrainedRun:
    """Trains the config's model on the latest graph, from its first vectors to the last epoch.

    Raises TrainingError where a loss is not finite, InputError where there is no graph or a state file is damaged,
    ConfigError where the model does not fit the memory it may use.
    """
    store = TableStore(spark, config.output)
    graph = latest_graph(store)
    run = _settings(config, graph)
    entities = store.read(ENTITIES, graph.tables["entities"])
    plan = resolve_plan(
        entities=entities.count(),
        dim=config.training.dim,
        partitions=graph.partitions,
        slots=spark.sparkContext.defaultParallelism,
        task_memory_gb=config.training.task_memory_gb,
        groups=config.training.groups,
    )
    progress(f"run {run.run_id}: {plan}")
    folder = RunFolder(config.output, run.run_id)
    folder.clear()
    files = write_initial_state(
        entities,
        folder,
        types=run.entity_types,
        partitions=plan.partitions,
        dim=config.training.dim,
        scale=config.training.init_scale,
        seed=run.seed,
    )
    relations = {relation.name: initial_state(relation, config.training.dim) for relation in run.relations}
    manifest = Manifest(run.run_id, -1, 0, False, plan.groups, files, relations, _cpu())
    folder.commit(manifest)

    # A row of edge_buckets is a block of many edges: the default of 10,000 rows would make gigabytes a batch.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "16")
    buckets = store.read(EDGE_BUCKETS, graph.tables["edge_buckets"]).persist()
    log = RoundLog(store, run.run_id, config.training.learning_rate)
    started = time.monotonic()
    try:
        for epoch in range(config.training.epochs):
            reports = []
            rounds = rounds_of_epoch(plan.partitions, plan.groups, run.seed, epoch)
            for this in rounds:
                last = epoch == config.training.epochs - 1 and this is rounds[-1]
                manifest, report = run_round(buckets, folder, run, this, manifest, last=last)
                reports.append(report)
            folder.sweep(manifest)
            log.add(reports, last=manifest.complete)
            progress(_line(reports, config.training.epochs, time.monotonic() - started))
    finally:
        buckets.unpersist()
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    return TrainedRun(run.run_id, folder, manifest, graph)


def _settings(config: Config, graph: GraphVersion) -> RunSettings:
    training = config.training
    softmax = training.loss == "softmax"
    loss = LossSettings(
        Softmax(training.temperature) if softmax else Logistic(),
        training.in_batch_weight,
        training.uniform_weight,
        softmax if training.logq is None else training.logq,
    )
    relations = tuple(
        RelationSettings(name, one.source, one.target, one.operator, one.weight, one.two_sided)
        for name, one in ((name, config.relations[name]) for name in graph.relations)
    )
    return RunSettings(
        output=config.output,
        run_id=run_id_of(config, graph),
        seed=training.seed,
        entity_types=tuple(config.entity_types),
        relations=relations,
        train=TrainSettings(
            loss,
            training.batch_size,
            training.uniform_negatives,
            training.learning_rate,
            training.relation_learning_rate,
        ),
    )


def _line(reports: list[RoundReport], epochs: int, elapsed: float) -> str:
    """An epoch's progress: loss, speed, time left."""
    done = reports[0].epoch + 1
    edges = sum(sum(report.edges.values()) for report in reports)
    loss = sum(sum(report.loss.values()) for report in reports)
    seconds = sum(report.seconds for report in reports)
    left = elapsed / done * (epochs - done)
    return (
        f"epoch {done}/{epochs}: loss {loss / max(edges, 1):.4f}, {edges:,} edges, {edges / seconds:,.0f} edges/s, "
        f"{left:.0f} s left"
    )


def _cpu() -> str:
    """Name of the CPU: OpenBLAS picks its kernels, and so the bits of a sum, by it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
