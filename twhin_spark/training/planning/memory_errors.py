"""The error of a task that needs too much memory: what it would hold, and the options with which it would fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from twhin_spark.config.sections import MAX_PARTITIONS
from twhin_spark.errors import ConfigError
from twhin_spark.training.planning.costs import GroupLayout, Workload, task_bytes
from twhin_spark.training.planning.layouts import DEALS, configured_layout


def memory_error(work: Workload, layout: GroupLayout, slots: int, limit: int, groups: int | None) -> ConfigError:
    """Return the error of a layout whose tasks do not fit.

    Parameters
    ----------
    work, layout, slots
        The graph, the layout, and the number of tasks that run at the same time.
    limit
        The bytes that a task may hold.
    groups
        The config's `training.groups`, or None.
    """
    memory = task_bytes(work, layout)
    options = [f"training.task_memory_gb: {-(-memory.total // 10**7) / 100:g}"]
    if finer := _finer_layout(work, layout.partitions, slots, limit, groups):
        options.append(finer)
    elif _fits(replace(work, batch_size=1, chunk_size=1), _finest_layout(slots), limit):
        options.append(f"a training.batch_size below {work.batch_size}")
    return ConfigError(
        f"training.task_memory_gb is {limit / 1e9:g}, but a task would hold {memory.total / 1e9:.2f} GB with "
        f"{layout.groups} groups of {layout.partitions} partitions: {memory}; it would fit with {' or '.join(options)}"
    )


def _finer_layout(work: Workload, partitions: int, slots: int, limit: int, groups: int | None) -> str | None:
    """Return the options of the fewest groups that fit, with more partitions if needed; None if no number fits."""
    if groups is not None:
        for more in range(groups + 1, partitions + 1):
            if _fits(work, configured_layout(partitions, more, slots), limit):
                return f"training.groups: {more}"
    for layout in _layouts_with_more_partitions(slots):
        if _fits(work, layout, limit):
            option = f"graph.partitions: {layout.partitions} (in a new output: the first build fixes them)"
            return option if groups is None else f"training.groups: {layout.groups} and {option}"
    return None


def _layouts_with_more_partitions(slots: int) -> Iterator[GroupLayout]:
    """Yield layouts of more and more groups, up to MAX_PARTITIONS; not all, as there are thousands."""
    multiple = 1
    while DEALS * 2 * slots * multiple <= MAX_PARTITIONS:
        yield _well_mixed_layout(multiple, slots)
        multiple += max(multiple // 16, 1)


def _finest_layout(slots: int) -> GroupLayout:
    return _well_mixed_layout(max(MAX_PARTITIONS // (DEALS * 2 * slots), 1), slots)


def _well_mixed_layout(multiple: int, slots: int) -> GroupLayout:
    """Return the layout of a multiple of twice the slots, with DEALS partitions in each group."""
    groups = 2 * slots * multiple
    return configured_layout(DEALS * groups, groups, slots)


def _fits(work: Workload, layout: GroupLayout, limit: int) -> bool:
    return task_bytes(work, layout).total <= limit
