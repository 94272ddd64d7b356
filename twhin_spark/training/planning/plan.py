"""The plan of a run: its groups and super-groups, by the task slots and their memory.

It is made once, and its numbers are stored with the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.config.training import TrainingConfig
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, ENTITIES
from twhin_spark.tables.session_cores import Cores
from twhin_spark.training.planning.costs import (
    SMALL_EPOCH_SECONDS,
    GroupLayout,
    TaskBytes,
    Workload,
    epoch_seconds,
    format_bytes,
    nominal_speed,
    state_bytes_moved,
    task_bytes,
)
from twhin_spark.training.planning.layouts import DEALS, configured_layout, layouts_by_size
from twhin_spark.training.planning.memory_errors import memory_error
from twhin_spark.training.settings import train_settings

MANY_BUCKETS = 512**2  # from which on buckets must have edges enough to be worth finding
FEW_EDGES = 100


@dataclass(frozen=True)
class Plan:
    """A layout, with the reasons for it and warnings."""

    work: Workload
    layout: GroupLayout
    threads: int  # of a task
    task: TaskBytes
    reasons: list[str]
    warnings: list[str]

    @property
    def state_bytes_moved(self) -> int:
        return state_bytes_moved(self.work, self.layout)

    @property
    def too_many_buckets(self) -> str | None:
        """What is wrong with the number of partitions, if buckets have too few edges to be worth finding."""
        return _too_many_buckets(self.work, self.layout.partitions)

    @property
    def edges_sent(self) -> int:
        return self.work.edges

    def __str__(self) -> str:
        layout = self.layout
        return (
            f"{layout.partitions} partitions in {layout.groups} groups, {layout.rounds} rounds of {layout.tasks} "
            f"tasks with {self.threads} threads; the model has {format_bytes(self.work.model_bytes)}, a task holds "
            f"{format_bytes(self.task.total)}"
        )


@dataclass(frozen=True)
class GraphSize:
    """Numbers of a graph's entities, of all types, and of its distinct training edges.

    sampling: how many times an epoch trains an edge, on average over the graph.
    """

    entities: int
    edges: int
    sampling: float = 1.0


def measure_graph(store: TableStore, graph: GraphVersion, config: Config) -> GraphSize:
    """Count a graph's entities and training edges."""
    entities = store.read(ENTITIES, graph.tables[ENTITIES.name]).count()
    edges = store.read(EDGE_BUCKETS, graph.tables[EDGE_BUCKETS.name]).agg(F.sum("edges")).first()
    assert edges is not None
    return GraphSize(entities, edges[0] or 0, mean_sampling(store, graph, config))


def mean_sampling(store: TableStore, graph: GraphVersion, config: Config) -> float:
    """Return how many times an epoch trains an edge of the graph, on average."""
    sampling = {name: config.relations[name].sampling for name in graph.relations}
    if set(sampling.values()) == {1.0}:
        return 1.0
    entities = store.read(ENTITIES, graph.tables[ENTITIES.name])
    rows = entities.select(F.explode("out_degree")).groupBy("key").agg(F.sum("value").alias("edges")).collect()
    edges = {row["key"]: row["edges"] for row in rows}
    return float(sum(sampling[name] * count for name, count in edges.items()) / max(sum(edges.values()), 1))


def plan_run(config: Config, size: GraphSize, *, partitions: int, cores: Cores) -> Plan:
    """Plan a config's run. Raises ConfigError if a task would need more memory than it may use."""
    training = config.training
    threads = task_threads(training, cores)
    return resolve_plan(
        workload(config, size),
        partitions=partitions,
        slots=cores.slots(threads),
        threads=threads,
        task_memory_gb=training.task_memory_gb,
        groups=training.groups,
    )


def task_threads(training: TrainingConfig, cores: Cores) -> int:
    """Return the threads of a task: what the config says, or the cores of an executor that a batch keeps busy."""
    if training.task_threads is not None:
        return training.task_threads
    chunk = min(training.in_batch_negatives or training.batch_size, training.batch_size)
    return max(min(cores.of_executor, training.batch_size // chunk), 1)


def workload(config: Config, size: GraphSize) -> Workload:
    """Return the work of training the config's model on a graph of this size."""
    training, settings, relations = config.training, train_settings(config), config.relations.values()
    chunk = min(settings.in_batch_negatives, training.batch_size)
    crossing = settings.cross_negatives and any(relation.source == relation.target for relation in relations)
    return Workload(
        size.entities,
        size.edges,
        training.dim,
        training.batch_size,
        chunk,
        training.uniform_negatives + (chunk if crossing else 0),
        two_sided=any(relation.two_sided for relation in relations),
        logq=settings.loss.logq,
        sampling=size.sampling,
    )


def resolve_plan(
    work: Workload,
    *,
    partitions: int,
    slots: int,
    task_memory_gb: float,
    groups: int | None = None,
    threads: int = 1,
) -> Plan:
    """Choose the layout of a run.

    Without a configured number of groups it is one group, if that fits one task, and one task is no slower than rounds
    of several or takes a few seconds at most. Otherwise there are twice as many groups as slots, so that every slot has
    a pair in each round, or the smallest multiple of that with which a group and two slices fit a task. Nothing is
    measured here, so the same graph on as many slots always gets the same plan.

    Parameters
    ----------
    work
        The size of the graph and of an edge's work.
    partitions
        The number of the graph's partitions.
    slots
        The number of tasks that run at the same time.
    task_memory_gb
        The memory that a task may use in all.
    groups
        The config's `training.groups`; None chooses a number.
    threads
        Number of threads of a task.

    Raises
    ------
    ConfigError
        No layout fits, or not the configured one. The message names options with which one would fit.
    """
    limit = round(task_memory_gb * 1e9)
    if groups is not None:
        layout = configured_layout(partitions, groups, slots)
        reason = f"{groups} groups, as training.groups says"
    else:
        choice = _choose(work, partitions, slots, threads, limit)
        if choice is None:
            raise memory_error(work, list(layouts_by_size(partitions, slots))[-1], slots, limit, groups)
        layout, reason = choice
    memory = task_bytes(work, layout)
    if memory.total > limit:
        raise memory_error(work, layout, slots, limit, groups)
    return Plan(work, layout, threads, memory, [reason], list(_warnings(work, layout, slots)))


def _choose(work: Workload, partitions: int, slots: int, threads: int, limit: int) -> tuple[GroupLayout, str] | None:
    """Return the first layout that fits, and the reason for it."""
    whole, parallel = GroupLayout(partitions, 1), configured_layout(partitions, min(2 * slots, partitions), slots)
    speed = nominal_speed(work, threads)
    if task_bytes(work, whole).total <= limit:
        if slots == 1:
            return whole, "1 group: it fits the memory of the only task"
        alone, together = (epoch_seconds(work, layout, slots, speed).total for layout in (whole, parallel))
        if alone <= max(together, SMALL_EPOCH_SECONDS):
            return whole, (
                f"1 group: the graph is small, one task takes about {alone:.1f} s an epoch, {parallel.rounds} rounds "
                f"of {parallel.tasks} would take {together:.1f} s, and groups cost quality"
            )
    for layout in layouts_by_size(partitions, slots):
        if task_bytes(work, layout).total <= limit:
            reason = f"{layout.groups} groups: twice the {slots} slots, so that each has a pair in every round"
            if layout != parallel:
                multiple = layout.groups // parallel.groups
                reason += f", times {multiple}, so that a group, two slices and their edges fit {format_bytes(limit)}"
            return layout, reason
    return None


def _warnings(work: Workload, layout: GroupLayout, slots: int) -> Iterator[str]:
    if layout.groups > 1 and layout.partitions < DEALS * layout.groups:
        yield (
            f"{layout.partitions} partitions are few for {layout.groups} groups: the same entities meet again and "
            f"again; graph.partitions: {DEALS * layout.groups} or more would mix them"
        )
    if layout.groups > 1 and layout.tasks < slots:
        yield f"only {layout.tasks} of {slots} slots have work: more groups would use them, at most graph.partitions"
    if (error := _too_many_buckets(work, layout.partitions)) is not None:
        yield error


def _too_many_buckets(work: Workload, partitions: int) -> str | None:
    buckets = partitions**2
    if buckets <= MANY_BUCKETS or work.edges >= buckets * FEW_EDGES:
        return None
    worth = math.isqrt(max(work.edges // FEW_EDGES, MANY_BUCKETS))
    return (
        f"graph.partitions: {partitions} makes {buckets:,} buckets with {work.edges / buckets:.1f} edges each, and "
        f"finding them takes longer than training them; at most {worth} partitions are worth it"
    )
