"""Training: plan → first vectors → epochs of rounds, each committed → a complete run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.config.training import TrainingConfig
from twhin_spark.errors import ConfigError, InputError, TrainingError
from twhin_spark.graph.graph_version import GraphVersion, latest_graph
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, EDGES, ENTITIES
from twhin_spark.training.cpu import cpu_name
from twhin_spark.training.planning.costs import GroupLayout
from twhin_spark.training.planning.plan import GraphSize, mean_sampling, measure_graph, plan_run, workload
from twhin_spark.training.progress import TrainingProgress
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.settings import run_settings
from twhin_spark.training.state.claim import claim_run
from twhin_spark.training.state.disk_errors import explain_full_disk
from twhin_spark.training.state.initial_state import write_initial_state
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import initial_state
from twhin_spark.training.state.resume import find_unfinished
from twhin_spark.training.state.round_log import RoundLog
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.trained_run import TrainedRun, run_id_of, run_identity
from twhin_spark.training.trainer import Trainer
from twhin_spark.training.validation.draw_sample import draw_validation_sample
from twhin_spark.training.validation.early_stopping import StoppingRule
from twhin_spark.training.validation.validation_loss import Validator


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
    run = run_settings(config, graph.relations, run_id_of(config, graph))
    folder = RunFolder(config.output, run.run_id)
    unfinished = find_unfinished(folder, config.name, run_identity(config, graph)) if resume else None
    if unfinished is not None and unfinished.complete:
        RoundLog(store, run.run_id, first=False).make_up(folder.reports())
        progress(f"run {run.run_id} is complete")
        return TrainedRun(run.run_id, folder, unfinished.kept, graph)
    where = f"{config.output}, or Spark's own folder"
    with explain_full_disk(where):
        claim = claim_run(store, folder, take_over=take_over)
    first = unfinished is None and claim.fence == 1
    buckets = store.read(EDGE_BUCKETS, graph.tables["edge_buckets"]).persist()
    try:
        with explain_full_disk(where):
            if unfinished is None:
                manifest = _begin(store, config, graph, run, folder, buckets, claim.fence, progress)
            else:
                manifest = _go_on(folder, unfinished, claim.fence, progress)
            # A row of edge_buckets is a block of many edges: the default of 10,000 rows would make gigabytes a batch.
            # Not before here: the rows that the first vectors are made from are small and many.
            spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "4")
            manifest = _train(store, config, graph, buckets, folder, run, manifest, progress, first=first)
    except KeyboardInterrupt:
        raise _stopped(folder, begun_before=unfinished is not None, fence=claim.fence) from None
    finally:
        with suppress(TrainingError):  # the disk may be full; a claim is found to be free by its process as well
            claim.release()
        with suppress(Exception):  # what stopped the training may have stopped Spark as well
            buckets.unpersist()
            spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    return TrainedRun(run.run_id, folder, manifest.kept, graph)


def _stopped(folder: RunFolder, *, begun_before: bool, fence: int) -> TrainingError:
    """What is said where Ctrl-C or SIGTERM ended the training, which goes on from what was committed or begins anew."""
    committed = folder.latest()
    if committed is None or not (begun_before or committed.fence == fence):
        return TrainingError(f"run {folder.run_id}: stopped before anything was committed; train again")
    return TrainingError(
        f"run {folder.run_id}: stopped; {committed.place} is committed: the same command with --resume goes on there"
    )


def _begin(
    store: TableStore,
    config: Config,
    graph: GraphVersion,
    run: RunSettings,
    folder: RunFolder,
    buckets: DataFrame,
    fence: int,
    progress: Callable[[str], None],
) -> Manifest:
    """Plans the run, draws what it is measured on and commits its first vectors. What was there before is gone."""
    entities = store.read(ENTITIES, graph.tables["entities"])
    slots = store.spark.sparkContext.defaultParallelism
    plan = plan_run(config, measure_graph(store, graph, config), partitions=graph.partitions, slots=slots)
    progress(f"run {run.run_id}: {plan}")
    for warning in plan.warnings:
        progress(f"warning: {warning}")
    files = write_initial_state(
        entities,
        folder,
        claim=fence,
        types=run.entity_types,
        partitions=plan.layout.partitions,
        dim=config.training.dim,
        scale=config.training.init_scale,
        seed=run.seed,
    )
    _draw_sample(store, config, graph, run, folder, buckets, progress)
    relations = {relation.name: initial_state(relation, config.training.dim) for relation in run.relations}
    layout = plan.layout
    manifest = Manifest(
        run.run_id, fence, -1, 0, False, layout.groups, files, relations, cpu_name(), super_groups=layout.super_groups
    )
    folder.write_settings(run_identity(config, graph))
    folder.commit(manifest)
    folder.forget(before=fence)
    return manifest


def _go_on(folder: RunFolder, unfinished: Manifest, fence: int, progress: Callable[[str], None]) -> Manifest:
    """Commits the unfinished state under a claim of our own, so that its earlier driver cannot go on."""
    progress(f"run {folder.run_id}: resuming after {unfinished.place}, with its {unfinished.groups} groups")
    if (cpu := cpu_name()) != unfinished.cpu:
        progress(f"it was begun on {unfinished.cpu}, this is {cpu}: the last bits may differ from those of one CPU")
    manifest = replace(unfinished, fence=fence)
    folder.commit(manifest)
    return manifest


def _draw_sample(
    store: TableStore,
    config: Config,
    graph: GraphVersion,
    run: RunSettings,
    folder: RunFolder,
    buckets: DataFrame,
    progress: Callable[[str], None],
) -> None:
    """Keeps the validation edges that every epoch is measured on, where the config wants that and there are any."""
    training = config.training
    if not training.validation.edges or (config.split.by != "source" and not config.split.validation):
        return
    edges, entities = (store.read(table, graph.tables[table.name]) for table in (EDGES, ENTITIES))
    sample = draw_validation_sample(
        edges,
        entities,
        buckets,
        run.relations,
        limit=training.validation.edges,
        seed=run.seed,
        self_loops=config.graph.self_loops == "keep",
    )
    if len(sample):
        folder.write_validation_sample(sample)
        return
    none = "no validation edge is new and has both ends in training"
    if training.early_stopping or training.keep == "best":
        wants = "early_stopping" if training.early_stopping else "keep"
        raise ConfigError(f"training.{wants}: {none}, so there is nothing to go by; set split.validation, or leave it")
    progress(f"{none}: no held-out loss")


def _train(
    store: TableStore,
    config: Config,
    graph: GraphVersion,
    buckets: DataFrame,
    folder: RunFolder,
    run: RunSettings,
    manifest: Manifest,
    progress: Callable[[str], None],
    *,
    first: bool,
) -> Manifest:
    """Trains what comes after the manifest; returns the last one."""
    edges = buckets.agg(F.sum("edges")).first()
    assert edges is not None
    if not edges[0]:
        raise InputError(f"{store.path(EDGE_BUCKETS)}: found no training edge; training needs some")
    held_out = None
    if (sample := folder.validation_sample()) is not None:
        partitions, compared = len(manifest.partitions), run.train.loss.comparator
        held_out = Validator(sample, run.relations, run.entity_types, partitions, run.seed, compared)
    entities = sum(sum(file.rows) for file in manifest.partitions)
    work = workload(config, GraphSize(entities, edges[0], mean_sampling(store, graph, config)))
    trainer = Trainer(buckets, work.epochs_a_commit, folder, run, config.training, _watch(config.training), held_out)
    log, earlier = RoundLog(store, run.run_id, first=first), folder.reports()
    log.take(earlier)
    rounds = GroupLayout(len(manifest.partitions), manifest.groups, manifest.super_groups).rounds
    narration = TrainingProgress(
        progress, epochs=config.training.epochs, rounds=rounds, edges=work.trained, earlier=earlier
    )
    while not manifest.complete:
        manifest = trainer.advance(manifest)
        log.add(manifest.reports, last=manifest.complete)
        narration.tell(manifest)
    return manifest


def _watch(training: TrainingConfig) -> StoppingRule:
    stopping = training.early_stopping
    return StoppingRule(
        training.validation.metric,
        stopping.patience if stopping else None,
        stopping.min_delta if stopping else 0.0,
        training.keep == "best",
    )
