"""The forecast of a run, which `twhin-spark plan` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from twhin_spark.config import Config
from twhin_spark.errors import ConfigError
from twhin_spark.tables.session_cores import Cores
from twhin_spark.training.planning.calibration import measure_speed
from twhin_spark.training.planning.costs import EDGE_BYTES, EpochSeconds, Speed, epoch_seconds, format_bytes
from twhin_spark.training.planning.plan import GraphSize, Plan, plan_run, task_threads
from twhin_spark.training.settings import relation_settings, train_settings

TASK_SHARE = 0.7  # of a machine's memory for its tasks; the rest is for the JVM and the system
_GBIT = 1e9 / 8  # bytes


@dataclass(frozen=True)
class Cluster:
    """A cluster of equal machines with one executor each. None: it does not bound the training.

    Attributes
    ----------
    machines, cores
        Number of machines, and of cores of each.
    memory_gb
        Memory of a machine.
    network_gbit
        Bandwidth of the link of a machine, which carries all that it reads and writes.
    store_gbit
        Bandwidth of the store, for all machines together.
    """

    machines: int
    cores: int
    memory_gb: float | None = None
    network_gbit: float | None = None
    store_gbit: float | None = None

    @property
    def all_cores(self) -> Cores:
        return Cores(self.machines * self.cores, self.cores)

    def task_memory_gb(self, threads: int) -> float | None:
        """Return the memory that a task with some threads may use, or None."""
        if self.memory_gb is None:
            return None
        return round(self.memory_gb * TASK_SHARE / max(self.cores // threads, 1), 2)

    def bounded(self, speed: Speed, tasks: int) -> Speed:
        """Return the speed of each of some tasks, which share the links and the store."""
        bounds = [speed.state_bytes]
        if self.network_gbit is not None:
            bounds.append(self.network_gbit * _GBIT / max(-(-tasks // self.machines), 1))
        if self.store_gbit is not None:
            bounds.append(self.store_gbit * _GBIT / max(tasks, 1))
        return replace(speed, state_bytes=min(bounds))


@dataclass(frozen=True)
class Forecast:
    """A plan and its expected time on a cluster of some slots."""

    plan: Plan
    cores: Cores
    commit_seconds: float
    speed: Speed
    measured: bool  # the kernels' speed was measured here, not given
    epochs: int

    @property
    def epoch(self) -> EpochSeconds:
        return epoch_seconds(self.plan.work, self.plan.layout, self.slots, self.speed, self.commit_seconds)

    @property
    def epoch_seconds(self) -> float:
        return self.epoch.total

    @property
    def slots(self) -> int:
        """Tasks that run at the same time."""
        return self.cores.slots(self.plan.threads)

    def lines(self) -> Iterator[str]:
        """Yield the lines that are printed."""
        plan, layout, task = self.plan, self.plan.layout, self.plan.task
        yield f"graph: {plan.work.entities:,} entities, {plan.work.edges:,} edges, {layout.partitions} partitions"
        if plan.work.sampling != 1:
            yield f"an epoch trains {plan.work.trained:,} edges, as relations are sampled"
        yield f"model: {format_bytes(plan.work.model_bytes)}"
        yield (
            f"layout: {layout.groups} groups of {layout.slices} slices; an epoch is {layout.rounds} rounds "
            f"of {layout.tasks} tasks with {plan.threads} threads"
        )
        yield from (f"why: {reason}" for reason in plan.reasons)
        yield f"a task holds {format_bytes(task.total)}: {task}"
        state, edges = format_bytes(plan.state_bytes_moved), format_bytes(plan.edges_sent * EDGE_BYTES)
        yield f"an epoch moves {state} of state and {edges} of edges"
        source = "measured here" if self.measured else "as given"
        yield (
            f"an epoch takes {self.epoch_seconds:,.1f} s on {self.cores.total} cores, {self.epochs} take "
            f"{self.epoch_seconds * self.epochs:,.0f} s; a core trains "
            f"{1 / self.speed.edge_seconds:,.0f} edges/s ({source})"
        )
        parts = ", ".join(f"{name} {seconds:,.1f} s" for name, seconds in asdict(self.epoch).items())
        yield f"of that: {parts}"
        yield from (f"warning: {warning}" for warning in plan.warnings)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON of `twhin-spark plan`."""
        plan = self.plan
        return {
            "job": "plan",
            "entities": plan.work.entities,
            "edges": plan.work.edges,
            "edges_trained": plan.work.trained,
            **asdict(plan.layout),
            "rounds": plan.layout.rounds,
            "tasks": plan.layout.tasks,
            "threads": plan.threads,
            "slots": self.slots,
            "cores": self.cores.total,
            "model_bytes": plan.work.model_bytes,
            "task_bytes": plan.task.total,
            "task_parts": asdict(plan.task),
            "state_bytes_moved": plan.state_bytes_moved,
            "edge_bytes_sent": plan.edges_sent * EDGE_BYTES,
            "edges_per_second": round(1 / self.speed.edge_seconds),
            "state_bytes_per_second": round(self.speed.state_bytes),
            "epoch_seconds": round(self.epoch_seconds, 2),
            "epoch_parts": {name: round(seconds, 2) for name, seconds in asdict(self.epoch).items()},
            "epochs": self.epochs,
            "reasons": plan.reasons,
            "warnings": plan.warnings,
        }


def forecast(
    config: Config, size: GraphSize, *, partitions: int, cluster: Cluster, edges_per_second: float | None = None
) -> Forecast:
    """Plan a config's run and forecast its time.

    Parameters
    ----------
    config
        The config.
    size
        The size of the graph.
    partitions
        The number of the graph's partitions.
    cluster
        The machines that the training may use. Their memory, if known, takes the place of `training.task_memory_gb`.
    edges_per_second
        The edges that the kernels train on one core; None measures them here, in a second or two.

    Raises
    ------
    ConfigError
        A task would need more memory than it may use, or buckets would have too few edges to be worth finding.
    """
    cores = cluster.all_cores
    memory = cluster.task_memory_gb(task_threads(config.training, cores))
    if memory is not None:
        config = config.model_copy(update={"training": config.training.model_copy(update={"task_memory_gb": memory})})
    plan = plan_run(config, size, partitions=partitions, cores=cores)
    if memory is not None:
        plan.reasons.append(f"training.task_memory_gb: {memory:g} is what a machine of {cluster.memory_gb:g} GB has")
    if plan.too_many_buckets is not None:
        raise ConfigError(plan.too_many_buckets)
    layout = plan.layout
    entities = size.entities if layout.groups == 1 else 2 * size.entities // layout.groups  # of a task
    relation = next(
        (name for name, settings in config.relations.items() if settings.two_sided), next(iter(config.relations))
    )
    speed = measure_speed(
        train_settings(config),
        relation_settings(config, relation),
        dim=config.training.dim,
        entities=entities,
        output=config.output,
        slots=min(cores.total, layout.tasks * plan.threads),
        edge_seconds=None if edges_per_second is None else 1 / edges_per_second,
    )
    return Forecast(
        plan,
        cores,
        config.training.commit_seconds,
        replace(cluster.bounded(speed, layout.tasks), threads=plan.threads),
        edges_per_second is None,
        config.training.epochs,
    )
