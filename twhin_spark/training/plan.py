"""How a run is cut: the number of groups, from task slots and memory. Resolved once and stored with the run."""

from __future__ import annotations

from dataclasses import dataclass

from twhin_spark.errors import ConfigError

BYTES_PER_COMPONENT = 4  # float32; an entity has its vector and one accumulator


@dataclass(frozen=True)
class Plan:
    partitions: int
    groups: int
    model_bytes: int  # vectors and accumulators of all entities
    task_bytes: int  # of the two groups that a task holds

    def __str__(self) -> str:
        return (
            f"{self.partitions} partitions in {self.groups} groups; "
            f"the model has {self.model_bytes / 1e6:,.1f} MB, a task holds {self.task_bytes / 1e6:,.1f} MB"
        )


def resolve_plan(
    *, entities: int, dim: int, partitions: int, slots: int, task_memory_gb: float, groups: int | None
) -> Plan:
    """The plan for `entities` vectors of `dim` on `slots` parallel tasks.

    Without a configured number, groups are twice the slots, so that every slot has a pair in each round, raised in
    multiples of that until two groups fit a task's memory; a single slot whose memory holds the whole model takes one
    group. Raises ConfigError where no number of groups fits.
    """
    model_bytes = entities * (dim + 1) * BYTES_PER_COMPONENT
    limit = task_memory_gb * 1e9

    def task_bytes(groups: int) -> int:
        """Of two groups of the nearly equal ones; partitions are hashed, so entities spread evenly over them."""
        held = min(2 * -(-partitions // groups), partitions)
        return -(-model_bytes * held // partitions)

    if groups is None:
        step = 2 * slots
        groups = 1 if slots == 1 else min(step, partitions)
        while task_bytes(groups) > limit and groups < partitions:
            groups = min(groups // step * step + step, partitions)
    if task_bytes(groups) > limit:
        raise ConfigError(
            f"training.task_memory_gb: found {task_memory_gb:g}, but with {groups} groups of {partitions} partitions a "
            f"task holds {task_bytes(groups) / 1e9:.2f} GB; raise it, or training.groups, or graph.partitions"
        )
    return Plan(partitions, groups, model_bytes, task_bytes(groups))
