"""The start of a training: plan, first vectors and validation edges of a new run, or the state of a resumed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame

from twhin_spark.config import Config
from twhin_spark.errors import ConfigError
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES
from twhin_spark.tables.session_cores import session_cores
from twhin_spark.training.planning.plan import measure_graph, plan_run
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.initial_state import InitialVectors, write_initial_state
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.validation.draw_sample import draw_validation_sample
from twhin_spark.training.warm_start import WarmStart, read_warm_start


@dataclass(frozen=True)
class RunContext:
    """What all steps of a training share. `start`: the model version of a warm start. `cpu`: the CPUs' names."""

    store: TableStore
    config: Config
    graph: GraphVersion
    run: RunSettings
    folder: RunFolder
    progress: Callable[[str], None]
    identity: Mapping[str, Any]
    start: str | None
    cpu: str


def begin_run(context: RunContext, buckets: DataFrame, fence: int) -> Manifest:
    """Plan a run, draw its validation edges and commit its first vectors; delete what an earlier training left.

    Parameters
    ----------
    context
        The run.
    buckets
        Rows of `edge_buckets`.
    fence
        The fence of this driver's claim.

    Returns
    -------
    Manifest
        The state before the first round, which is committed.

    Raises
    ------
    ConfigError
        A task would need more memory than it may use, or the config needs validation edges and there are none.
    """
    config, graph, run, folder = context.config, context.graph, context.run, context.folder
    size = measure_graph(context.store, graph, config)
    plan = plan_run(config, size, partitions=graph.partitions, cores=session_cores(context.store.spark))
    context.progress(f"run {run.run_id}: {plan}")
    for warning in plan.warnings:
        context.progress(f"warning: {warning}")
    layout, dim = plan.layout, config.training.dim
    start = WarmStart()
    if context.start is not None:
        context.progress(f"starting from version {context.start}, for {config.training.epochs} epochs")
        start = read_warm_start(context.store, config, graph, context.start, context.progress)
    with start.cached() as rows:
        initial = write_initial_state(
            context.store.read(ENTITIES, graph.tables["entities"]),
            folder,
            InitialVectors(dim, config.training.init_scale, run.seed),
            rows,
            claim=fence,
            types=run.entity_types,
            partitions=layout.partitions,
        )
    _draw_validation_edges(context, buckets)
    manifest = Manifest(
        run.run_id,
        fence,
        epoch=-1,
        round=0,
        complete=False,
        groups=layout.groups,
        partitions=initial.partitions,
        relations={relation.name: start.relation_state(relation, dim) for relation in run.relations},
        cpu=context.cpu,
        tasks=layout.tasks,
        slices=layout.slices,
        anchors=initial.anchors,
    )
    folder.write_settings(context.identity)
    folder.commit(manifest)
    folder.forget(before=fence)
    return manifest


def resume_run(context: RunContext, unfinished: Manifest, fence: int) -> Manifest:
    """Commit the unfinished state under this driver's own claim, so that its earlier driver cannot continue."""
    groups, cpu = unfinished.groups, context.cpu
    context.progress(f"run {context.run.run_id}: resuming after {unfinished.position}, with its {groups} groups")
    if cpu != unfinished.cpu:
        context.progress(
            f"it was begun on {unfinished.cpu}, this is {cpu}: the last bits may differ from those of one CPU"
        )
    manifest = replace(unfinished, fence=fence)
    context.folder.commit(manifest)
    return manifest


def _draw_validation_edges(context: RunContext, buckets: DataFrame) -> None:
    """Write the validation edges that every epoch is measured on, if the config asks for them and there are any."""
    config, tables, training = context.config, context.graph.tables, context.config.training
    if not training.validation.edges or (config.split.by != "source" and not config.split.validation):
        return
    edges, entities = (context.store.read(table, tables[table.name]) for table in (EDGES, ENTITIES))
    sample = draw_validation_sample(
        edges,
        entities,
        buckets,
        context.run.relations,
        limit=training.validation.edges,
        seed=context.run.seed,
        self_loops=config.graph.self_loops == "keep",
    )
    if len(sample):
        context.folder.write_validation_sample(sample)
        return
    none = "no validation edge is new and has both ends in training"
    if training.early_stopping or training.keep == "best":
        option = "early_stopping" if training.early_stopping else "keep"
        raise ConfigError(
            f"training.{option}: {none}, so nothing can be measured; set split.validation, or remove training.{option}"
        )
    context.progress(f"{none}: no held-out loss")
