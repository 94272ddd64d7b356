"""How a run is cut: groups and super-groups, from task slots and memory. Resolved once and stored with the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import ConfigError
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, ENTITIES
from twhin_spark.training.planning.costs import (
    GroupLayout,
    TaskBytes,
    Workload,
    edges_sent,
    epoch_seconds,
    nominal_speed,
    size,
    state_bytes_moved,
    task_bytes,
)
from twhin_spark.training.planning.layouts import DEALS, configured_layout, layouts
from twhin_spark.training.planning.memory_errors import memory_error
from twhin_spark.training.settings import train_settings


@dataclass(frozen=True)
class Plan:
    """A layout, and why it is so."""

    work: Workload
    layout: GroupLayout
    task: TaskBytes
    reasons: list[str]
    warnings: list[str]

    @property
    def state_bytes_moved(self) -> int:
        return state_bytes_moved(self.work, self.layout)

    @property
    def edges_sent(self) -> int:
        return edges_sent(self.work, self.layout)

    def __str__(self) -> str:
        layout = self.layout
        return (
            f"{layout.partitions} partitions in {layout.groups} groups, {layout.rounds} rounds of {layout.tasks} "
            f"tasks; the model has {size(self.work.model_bytes)}, a task holds {size(self.task.total)}"
        )


@dataclass(frozen=True)
class GraphSize:
    """The size of a graph: entities of all types, distinct training edges.

    sampling: how many times an epoch trains an edge, on average over the graph.
    """

    entities: int
    edges: int
    sampling: float = 1.0


def measure_graph(store: TableStore, graph: GraphVersion, config: Config) -> GraphSize:
    entities = store.read(ENTITIES, graph.tables[ENTITIES.name]).count()
    edges = store.read(EDGE_BUCKETS, graph.tables[EDGE_BUCKETS.name]).agg(F.sum("edges")).first()
    assert edges is not None
    return GraphSize(entities, edges[0] or 0, mean_sampling(store, graph, config))


def mean_sampling(store: TableStore, graph: GraphVersion, config: Config) -> float:
    """How many times an epoch trains an edge of the graph, on average."""
    sampling = {name: config.relations[name].sampling for name in graph.relations}
    if set(sampling.values()) == {1.0}:
        return 1.0
    entities = store.read(ENTITIES, graph.tables[ENTITIES.name])
    rows = entities.select(F.explode("out_degree")).groupBy("key").agg(F.sum("value").alias("edges")).collect()
    edges = {row["key"]: row["edges"] for row in rows}
    return float(sum(sampling[name] * count for name, count in edges.items()) / max(sum(edges.values()), 1))


def plan_run(config: Config, counts: GraphSize, *, partitions: int, slots: int) -> Plan:
    """The plan of a config's run. Raises ConfigError where a task would not fit its memory."""
    training = config.training
    return resolve_plan(
        workload(config, counts),
        partitions=partitions,
        slots=slots,
        task_memory_gb=training.task_memory_gb,
        groups=training.groups,
    )


def workload(config: Config, counts: GraphSize) -> Workload:
    """What the config has training do with a graph of this size."""
    training, settings, relations = config.training, train_settings(config), config.relations.values()
    chunk = min(settings.in_batch_negatives, training.batch_size)
    crossing = settings.cross_negatives and any(relation.source == relation.target for relation in relations)
    return Workload(
        counts.entities,
        counts.edges,
        training.dim,
        training.batch_size,
        chunk,
        training.uniform_negatives + (chunk if crossing else 0),
        two_sided=any(relation.two_sided for relation in relations),
        logq=settings.loss.logq,
        sampling=counts.sampling,
    )


def resolve_plan(
    work: Workload, *, partitions: int, slots: int, task_memory_gb: float, groups: int | None = None
) -> Plan:
    """The plan for `slots` parallel tasks, each of which may hold `task_memory_gb` in all.

    Without a configured number, one group where it fits and one task is no slower than rounds of several; otherwise
    twice as many super-groups as slots, so that every slot has a pair in each round, of as few groups as let two groups
    fit a task. Nothing here is measured, so that the same graph on as many slots always gives the same plan.

    Raises ConfigError where no number of groups fits.
    """
    limit = round(task_memory_gb * 1e9)
    if groups is not None:
        layout = configured_layout(partitions, groups, slots)
        reason = f"{groups} groups: training.groups says so"
    else:
        found = _choose(work, partitions, slots, limit)
        if found is None:
            raise ConfigError(memory_error(work, list(layouts(partitions, slots))[-1], slots, limit, groups))
        layout, reason = found
    held = task_bytes(work, layout)
    if held.total > limit:
        raise ConfigError(memory_error(work, layout, slots, limit, groups))
    reasons = [reason]
    if layout.super_groups < layout.groups:
        reasons.append(
            f"a task walks the pairs of two super-groups of {layout.groups // layout.super_groups} groups and swaps "
            "one group a step: that moves fewer bytes than a round for each pair"
        )
    return Plan(work, layout, held, reasons, list(_warnings(layout, slots)))


def _choose(work: Workload, partitions: int, slots: int, limit: int) -> tuple[GroupLayout, str] | None:
    """The first layout that fits, and why it is taken."""
    whole, parallel = GroupLayout(partitions, 1, 1), GroupLayout(partitions, *2 * [min(2 * slots, partitions)])
    speed = nominal_speed(work)
    if task_bytes(work, whole).total <= limit:
        if slots == 1:
            return whole, "1 group: it fits the only slot's memory"
        alone, together = (epoch_seconds(work, layout, slots, speed) for layout in (whole, parallel))
        if alone <= together:
            return whole, (
                f"1 group: the graph is small, one task takes about {alone:.1f} s an epoch, {parallel.rounds} rounds "
                f"of {parallel.tasks} would take {together:.1f} s"
            )
    for layout in layouts(partitions, slots):
        if task_bytes(work, layout).total <= limit:
            reason = f"{layout.groups} groups: twice the {slots} slots, so that each has a pair in every round"
            if layout != parallel:
                reason += (
                    f", times {layout.groups // layout.super_groups}, so that two groups with their edges fit "
                    f"{size(limit)}"
                )
            return layout, reason
    return None


def _warnings(layout: GroupLayout, slots: int) -> Iterator[str]:
    if layout.groups > 1 and layout.partitions < DEALS * layout.groups:
        yield (
            f"{layout.partitions} partitions are few for {layout.groups} groups: the same entities meet again and "
            f"again; graph.partitions: {DEALS * layout.groups} or more would mix them"
        )
    if layout.groups > 1 and layout.tasks < slots:
        yield f"only {layout.tasks} of {slots} slots have work: more groups would use them, at most graph.partitions"
