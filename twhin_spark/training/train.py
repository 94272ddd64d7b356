"""Training: plan → first vectors → rounds, each of which is committed → a complete run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.config.training import TrainingConfig
from twhin_spark.errors import InputError, TrainingError
from twhin_spark.graph.graph_version import latest_graph
from twhin_spark.tables.cpu import cpu_name
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS
from twhin_spark.tables.session_settings import ARROW_BYTES, spark_setting
from twhin_spark.training.execution import plan_execution
from twhin_spark.training.planning.costs import GroupLayout
from twhin_spark.training.planning.plan import GraphSize, mean_sampling, workload
from twhin_spark.training.progress import TrainingProgress
from twhin_spark.training.settings import run_settings
from twhin_spark.training.start_run import RunContext, begin_run, resume_run
from twhin_spark.training.start_version import choose_start, note_start, run_id_of, run_identity, warm_config
from twhin_spark.training.state.claim import claim_run
from twhin_spark.training.state.disk_errors import explain_full_disk
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.resume import find_unfinished
from twhin_spark.training.state.round_log import RoundLog
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.trained_run import TrainedRun
from twhin_spark.training.trainer import Trainer
from twhin_spark.training.validation.early_stopping import StoppingRule
from twhin_spark.training.validation.validator import Validator

_BATCH_BYTES = str(4 << 20)  # of edges on their way from Spark


def train(
    spark: SparkSession,
    config: Config,
    progress: Callable[[str], None],
    *,
    resume: bool = False,
    take_over: bool = False,
    cpu: str | None = None,
) -> TrainedRun:
    """Train the config's model on the latest graph.

    Parameters
    ----------
    spark
        The session.
    config
        The config. Its graph must be built.
    progress
        Function that prints a line.
    resume
        Continue after the last committed round of this config's run, if there is one.
    take_over
        Train although another driver has a claim on the run; that driver must be dead.
    cpu
        Names of the workers' CPUs, on which the bits depend; None: this machine's.

    Returns
    -------
    TrainedRun
        The complete run.

    Raises
    ------
    TrainingError
        A loss is not finite, a disk is full, the training was stopped, or another driver trains this run.
    InputError
        There is no graph, it has no training edge, or a state file is damaged.
    ConfigError
        A task would need more memory than it may use, the config needs validation edges and there are none, or the run
        that is to be resumed had other settings.
    """
    asked, store = config, TableStore(spark, config.output)
    graph = latest_graph(store)
    start = choose_start(config, store, graph, resume=resume)
    identity = run_identity(config, graph, start)
    run_id = run_id_of(config, graph, start)
    config = warm_config(config, start)
    run = run_settings(config, graph.relations, run_id)
    folder = RunFolder(config.output, run.run_id)
    unfinished = find_unfinished(folder, config.name, identity) if resume else None
    if unfinished is not None and unfinished.complete:
        RoundLog(store, run.run_id, first=False).complete(folder.reports())
        progress(f"run {run.run_id} is complete")
        return TrainedRun(run.run_id, folder, unfinished.kept, graph, start)
    written = f"{config.output}, or Spark's own folder"
    with explain_full_disk(written):
        claim = claim_run(store, folder, take_over=take_over)
    note_start(asked, graph, start)
    context = RunContext(store, config, graph, run, folder, progress, identity, start, cpu or cpu_name())
    first = unfinished is None and claim.fence == 1
    buckets = store.read(EDGE_BUCKETS, graph.tables["edge_buckets"]).persist()
    try:
        with explain_full_disk(written):
            if unfinished is None:
                manifest = begin_run(context, buckets, claim.fence)
            else:
                manifest = resume_run(context, unfinished, claim.fence)
            # A row of edge_buckets has few edges or 65,536, so what bounds a batch of them is its bytes.
            with spark_setting(spark, ARROW_BYTES, _BATCH_BYTES):
                manifest = _train_rounds(context, buckets, manifest, first=first)
    except KeyboardInterrupt:
        raise _stopped_error(folder, begun_before=unfinished is not None, fence=claim.fence) from None
    finally:
        with suppress(TrainingError):  # the disk may be full; a claim also ends with its process
            claim.release()
        with suppress(Exception):  # what stopped the training may have stopped Spark as well
            buckets.unpersist()
    return TrainedRun(run.run_id, folder, manifest.kept, graph, start)


def _train_rounds(context: RunContext, buckets: DataFrame, manifest: Manifest, *, first: bool) -> Manifest:
    """Train what comes after the manifest; return the last one. `first`: the run was never trained before."""
    store, config, run, folder = context.store, context.config, context.run, context.folder
    counted = buckets.agg(F.sum("edges")).first()
    assert counted is not None
    edges, partitions = counted[0], len(manifest.partitions)
    if not edges:
        raise InputError(
            f"{store.path(EDGE_BUCKETS)}: the graph has no training edge, but training needs one at least; check the "
            "logs and the split, then run build-graph again"
        )
    entities = sum(sum(file.rows) for file in manifest.partitions)
    work = workload(config, GraphSize(entities, edges, mean_sampling(store, context.graph, config)))
    rule, validator = _stopping_rule(config.training), Validator.of_run(run, partitions)
    layout = GroupLayout(partitions, manifest.groups, manifest.tasks, manifest.slices)
    execution = plan_execution(store.spark, config.training, work, layout)
    trainer = Trainer(buckets, execution, folder, run, config.training, rule, validator)
    log, earlier = RoundLog(store, run.run_id, first=first), folder.reports()
    log.collect(earlier)
    progress = TrainingProgress(
        context.progress, epochs=config.training.epochs, rounds=layout.rounds, edges=work.trained, earlier=earlier
    )
    while not manifest.complete:
        manifest = trainer.advance(manifest)
        log.add(manifest.reports, last=manifest.complete)
        progress.add(manifest)
    return manifest


def _stopping_rule(training: TrainingConfig) -> StoppingRule:
    stopping = training.early_stopping
    return StoppingRule(
        training.validation.metric,
        stopping.patience if stopping else None,
        stopping.min_delta if stopping else 0.0,
        training.keep == "best",
    )


def _stopped_error(folder: RunFolder, *, begun_before: bool, fence: int) -> TrainingError:
    """Return the error of a training that Ctrl-C or SIGTERM ended, which says how to continue."""
    committed = folder.latest()
    if committed is None or not (begun_before or committed.fence == fence):
        return TrainingError(f"run {folder.run_id}: stopped before anything was committed; train again")
    return TrainingError(
        f"run {folder.run_id}: stopped; {committed.position} is committed: the same command with --resume goes on there"
    )
