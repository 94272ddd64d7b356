"""stub to be replaced below"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    partitions: int
    groups: int
    super_groups: int


def resolve_plan(*, entities, dim, partitions, slots, task_memory_gb, groups):
    g = groups or (1 if slots == 1 else 2 * slots)
    k = next((k for k in range(2 * slots, g) if g % k == 0 and k % 2 == 0), g)
    return Plan(partitions, g, k)
