"""Layouts: the ways to group partitions that a plan chooses from."""

from __future__ import annotations

from collections.abc import Iterator

from twhin_spark.training.planning.costs import GroupLayout

DEALS = 8  # partitions a group, from which on dealing them anew each epoch mixes the entities well


def layouts_by_size(partitions: int, slots: int) -> Iterator[GroupLayout]:
    """Yield layouts of ever smaller groups, with twice as many super-groups as slots."""
    super_groups = min(2 * slots, partitions)
    for members in range(1, partitions // super_groups + 1):
        yield GroupLayout(partitions, super_groups * members, super_groups)


def configured_layout(partitions: int, groups: int, slots: int) -> GroupLayout:
    """Return the layout of a number of groups with the fewest super-groups that keep all slots busy.

    They are an even divisor of the groups, or the groups themselves if there is none. Example: on 2 slots, 16 groups
    make 4 super-groups, and 6 groups make 6.
    """
    return GroupLayout(partitions, groups, next((n for n in range(2 * slots, groups, 2) if groups % n == 0), groups))
