"""What is said where a task would not fit its memory: what it would hold, and the options with which it would fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from twhin_spark.config.sections import MAX_PARTITIONS
from twhin_spark.training.planning.costs import GroupLayout, Workload, task_bytes
from twhin_spark.training.planning.layouts import DEALS, configured_layout


def memory_error(work: Workload, layout: GroupLayout, slots: int, limit: int, groups: int | None) -> str:
    """limit: of a task, in bytes. groups: as configured, or None."""
    held = task_bytes(work, layout)
    found = (
        f"training.task_memory_gb: found {limit / 1e9:g}, but a task would hold {held.total / 1e9:.2f} GB with "
        f"{layout.groups} groups of {layout.partitions} partitions: {held}"
    )
    fits = [f"training.task_memory_gb: {-(-held.total // 10**7) / 100:g}"]
    if finer := _finer(work, layout.partitions, slots, limit, groups):
        fits.append(finer)
    elif _fits(replace(work, batch_size=1, chunk_size=1), _finest(slots), limit):
        fits.append(f"a training.batch_size below {work.batch_size}")
    return f"{found}; it would fit with {' or '.join(fits)}"


def _finer(work: Workload, partitions: int, slots: int, limit: int, groups: int | None) -> str | None:
    """As few groups as fit, and the partitions for them; None where not even the most do."""
    if groups is not None:
        for more in range(groups + 1, partitions + 1):
            if _fits(work, configured_layout(partitions, more, slots), limit):
                return f"training.groups: {more}"
    for layout in _with_partitions_of_their_own(slots):
        if _fits(work, layout, limit):
            other = f"graph.partitions: {layout.partitions} (in a new output: the first build fixes them)"
            return other if groups is None else f"training.groups: {layout.groups} and {other}"
    return None


def _with_partitions_of_their_own(slots: int) -> Iterator[GroupLayout]:
    members = 1
    while DEALS * 2 * slots * members <= MAX_PARTITIONS:
        groups = 2 * slots * members
        yield GroupLayout(DEALS * groups, groups, 2 * slots)
        members += max(members // 16, 1)


def _finest(slots: int) -> GroupLayout:
    groups = 2 * slots * max(MAX_PARTITIONS // (DEALS * 2 * slots), 1)
    return GroupLayout(DEALS * groups, groups, 2 * slots)


def _fits(work: Workload, layout: GroupLayout, limit: int) -> bool:
    return task_bytes(work, layout).total <= limit
