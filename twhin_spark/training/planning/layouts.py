"""Layouts: the ways to group partitions that a plan chooses from."""

from __future__ import annotations

from collections.abc import Iterator

from twhin_spark.training.planning.costs import GroupLayout
from twhin_spark.training.relay import PIPELINED_SLICES

DEALS = 8  # partitions a group, from which on dealing them anew each epoch mixes the entities well


def layouts_by_size(partitions: int, slots: int) -> Iterator[GroupLayout]:
    """Yield layouts of ever smaller groups, with twice as many groups as slots or a multiple of that."""
    groups = min(2 * slots, partitions)
    for multiple in range(1, partitions // groups + 1):
        yield configured_layout(partitions, groups * multiple, slots)


def configured_layout(partitions: int, groups: int, slots: int) -> GroupLayout:
    """Return the layout of a number of groups that keeps as many slots busy as groups can meet at the same time.

    Groups have the slices that let them pass from task to task during training, if there are partitions enough.
    """
    slices = PIPELINED_SLICES if groups > 1 and partitions >= PIPELINED_SLICES * groups else 1
    return GroupLayout(partitions, groups, max(min(slots, groups // 2), 1), slices)
