"""Training: plan → first vectors → epochs of rounds, each committed → a complete run."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.graph.version import GraphVersion, latest_graph
from twhin_spark.kernels.losses import Logistic, Softmax
from twhin_spark.kernels.step import LossSettings
from twhin_spark.kernels.train import TrainSettings
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, ENTITIES
from twhin_spark.training.claim import claim_run
from twhin_spark.training.initial import write_initial_state
from twhin_spark.training.log import RoundLog
from twhin_spark.training.plan import resolve_plan
from twhin_spark.training.relations import RelationSettings, initial_state
from twhin_spark.training.resume import find_unfinished
from twhin_spark.training.rounds import run_round
from twhin_spark.training.schedule import rounds_of_epoch
from twhin_spark.training.state import Manifest, RoundReport, RunFolder
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


def _what_counts(config: Config, graph: GraphVersion) -> dict[str, Any]:
    """What the run's id is made of, to be read."""
    relations = {name: config.relations[name].model_dump(mode="json") for name in graph.relations}
    return {"graph": graph.graph_id, "relations": relations, "training": config.training.model_dump(mode="json")}


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


def train(
    spark: SparkSession,
    config: Config,
    progress: Callable[[str], None],
    *,
    resume: bool = False,
    take_over: bool = False,
) -> TrainedRun:
    """Trains the config's model on the latest graph, from its first vectors to the last epoch.

    resume: go on after the last committed round of this config's run, where there is one.
    take_over: although another driver holds the run; it is known to be dead.

    Raises TrainingError where a loss is not finite or another driver trains this run, InputError where there is no
    graph or a state file is damaged, ConfigError where the model does not fit the memory it may use, or the run that
    is to be resumed had other settings.
    """
    store = TableStore(spark, config.output)
    graph = latest_graph(store)
    run = _settings(config, graph)
    folder = RunFolder(config.output, run.run_id)
    unfinished = find_unfinished(folder, config.name, _what_counts(config, graph)) if resume else None
    if unfinished is not None and unfinished.complete:
        progress(f"run {run.run_id} is complete")
        return TrainedRun(run.run_id, folder, unfinished, graph)
    claim = claim_run(store, folder, take_over=take_over)
    # A row of edge_buckets is a block of many edges: the default of 10,000 rows would make gigabytes a batch.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "16")
    buckets = store.read(EDGE_BUCKETS, graph.tables["edge_buckets"]).persist()
    try:
        if unfinished is None:
            manifest = _begin(store, config, graph, run, folder, claim.fence, progress)
        else:
            manifest = _go_on(folder, unfinished, claim.fence, progress)
        manifest = _train(store, config, buckets, folder, run, manifest, progress)
    except KeyboardInterrupt:
        if (committed := folder.latest()) is not None:
            progress(f"stopped; {_place(committed)} is committed, and --resume goes on there")
        raise
    finally:
        claim.release()
        buckets.unpersist()
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    return TrainedRun(run.run_id, folder, manifest, graph)


def _begin(
    store: TableStore,
    config: Config,
    graph: GraphVersion,
    run: RunSettings,
    folder: RunFolder,
    fence: int,
    progress: Callable[[str], None],
) -> Manifest:
    """Plans the run and commits its first vectors. What was there of it before is gone."""
    entities = store.read(ENTITIES, graph.tables["entities"])
    plan = resolve_plan(
        entities=entities.count(),
        dim=config.training.dim,
        partitions=graph.partitions,
        slots=store.spark.sparkContext.defaultParallelism,
        task_memory_gb=config.training.task_memory_gb,
        groups=config.training.groups,
    )
    progress(f"run {run.run_id}: {plan}")
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
    manifest = Manifest(run.run_id, fence, -1, 0, False, plan.groups, files, relations, _cpu(), None, plan.super_groups)
    folder.write_settings(_what_counts(config, graph))
    folder.commit(manifest)
    folder.forget(before=fence)
    return manifest


def _go_on(folder: RunFolder, unfinished: Manifest, fence: int, progress: Callable[[str], None]) -> Manifest:
    """Commits the unfinished state under a claim of our own, so that its earlier driver cannot go on."""
    progress(f"run {folder.run_id}: resuming after {_place(unfinished)}, with its {unfinished.groups} groups")
    if (cpu := _cpu()) != unfinished.cpu:
        progress(f"it was begun on {unfinished.cpu}, this is {cpu}: the last bits may differ from those of one CPU")
    manifest = replace(unfinished, fence=fence)
    folder.commit(manifest)
    return manifest


def _train(
    store: TableStore,
    config: Config,
    buckets: DataFrame,
    folder: RunFolder,
    run: RunSettings,
    manifest: Manifest,
    progress: Callable[[str], None],
) -> Manifest:
    """Trains the rounds after the manifest's; returns the last one's."""
    log = RoundLog(store, run.run_id, config.training.learning_rate)
    earlier = folder.reports()
    log.take(earlier)
    for epoch in range(config.training.epochs):
        reports: list[RoundReport] = []
        rounds = rounds_of_epoch(len(manifest.partitions), manifest.groups, manifest.super_groups, run.seed, epoch)
        for this in rounds:
            if (epoch, this.number) > (manifest.epoch, manifest.round):
                last = epoch == config.training.epochs - 1 and this is rounds[-1]
                manifest, report = run_round(buckets, folder, run, this, manifest, last=last)
                reports.append(report)
        if reports:
            folder.sweep(manifest)
            log.add(reports, last=manifest.complete)
            progress(_line([*(one for one in earlier if one.epoch == epoch), *reports], config.training.epochs))
    return manifest


def _place(manifest: Manifest) -> str:
    return f"epoch {manifest.epoch + 1}, round {manifest.round + 1}" if manifest.epoch >= 0 else "the first vectors"


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
            training.in_batch_negatives or training.batch_size,
            training.uniform_negatives,
            training.learning_rate,
            training.relation_learning_rate,
        ),
    )


def _line(reports: list[RoundReport], epochs: int) -> str:
    """An epoch's progress: loss, speed, and the time left if the others take as long."""
    done = reports[0].epoch + 1
    edges = sum(sum(report.edges.values()) for report in reports)
    loss = sum(sum(report.loss.values()) for report in reports)
    seconds = sum(report.seconds for report in reports)
    return (
        f"epoch {done}/{epochs}: loss {loss / max(edges, 1):.4f}, {edges:,} edges, {edges / seconds:,.0f} edges/s, "
        f"{seconds * (epochs - done):.0f} s left"
    )


def _cpu() -> str:
    """Name of the CPU: OpenBLAS picks its kernels, and so the bits of a sum, by it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
