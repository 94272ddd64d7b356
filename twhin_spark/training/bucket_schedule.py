"""The bucket schedule: which edges of an epoch are trained in which round, by which task, in which order.

Each epoch deals the partitions anew into groups, so that no two entities are apart in all epochs and negatives come
from changing neighbours. In a round, each task has a seat: a **resident** group, and a **visitor**, whose entities come
slice by slice. The groups of a round are disjoint, so its tasks share no partition and need no lock server. Any two
groups meet once an epoch. As residents stay for many rounds while visitors move on from seat to seat, a task can train
with one slice while it passes on the slice before and receives the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from twhin_spark.kernels.arrays import Integers

Meeting = tuple[int, int]  # resident, visitor


def deal(partitions: int, groups: int, slices: int, generator: np.random.Generator) -> Integers:
    """Deal the partitions to the slices of groups at random, so that the sizes of groups differ by one at most.

    Example: 5 partitions in the random order 3, 0, 4, 1, 2 are dealt like cards to 2 groups of 2 slices. Partitions 3,
    4 and 2 go to group 0, and there in turn to the slices 0, 1 and 0. Partitions 0 and 1 go to the slices 2 and 3 of
    group 1. So the result is [2, 3, 0, 0, 1].

    Returns
    -------
    array of int64, (partitions,)
        The slice of each partition. Group g has the slices from g · slices to (g + 1) · slices - 1.
    """
    slice_of = np.empty(partitions, dtype=np.int64)
    turn, group = np.divmod(np.arange(partitions), groups)
    slice_of[generator.permutation(partitions)] = group * slices + turn % slices
    return slice_of


def meetings(groups: Sequence[int], seats: int) -> list[list[Meeting]]:
    """Return rounds of disjoint meetings (resident, visitor) in which any two groups meet once.

    Half of the groups are residents, and the other half visit one after the other of them. Then each half is divided
    in the same way. Example: of 4 groups, 2 and 3 are residents, first 0 and 1 and then 1 and 0 visit them, and last
    each half meets within itself. So with 2 seats the rounds are

        [(2, 0), (3, 1)], [(2, 1), (3, 0)], [(1, 0), (3, 2)]

    Parameters
    ----------
    groups
        The groups.
    seats
        The most meetings of a round. If there are more residents, a part of them is visited by all, then the next part.
    """
    if len(groups) < 2:
        return []
    half = (len(groups) + 1) // 2
    visitors, residents = groups[:half], groups[half:]
    rounds = []
    for begin in range(0, len(residents), seats):
        seated = residents[begin : begin + seats]
        rounds += [
            [(resident, visitors[(i + turn) % half]) for i, resident in enumerate(seated)] for turn in range(half)
        ]
    if len(visitors) // 2 + len(residents) // 2 <= seats:
        within = zip_longest(meetings(visitors, seats), meetings(residents, seats), fillvalue=())
        return rounds + [list(chain(*parts)) for parts in within]
    return rounds + meetings(visitors, seats) + meetings(residents, seats)


@dataclass(frozen=True)
class Seat:
    """The work of one task in a round.

    Attributes
    ----------
    resident
        The group that is in the task's memory as a whole.
    visitor
        The group whose slices come one after the other, to train the edges between both groups; None: no group.
    inner
        If true, the edges inside the resident are trained before. That happens once an epoch.
    """

    resident: int
    visitor: int | None
    inner: bool


@dataclass(frozen=True)
class Round:
    """One round of an epoch: the slice of each partition, (partitions,), and the seats of its tasks."""

    epoch: int
    number: int
    slice_of: Integers
    slices: int  # of a group
    seats: list[Seat]

    @property
    def tasks(self) -> int:
        return len(self.seats)

    def partitions_of(self, slice_number: int) -> list[int]:
        """Return the partitions of a slice, ascending."""
        return [int(p) for p in np.flatnonzero(self.slice_of == slice_number)]

    def visiting_slices(self, seat: Seat) -> list[int]:
        """Return the slices of a seat's visitor, in the order in which they come."""
        return [] if seat.visitor is None else self.slices_of(seat.visitor)

    def side_of(self, slice_number: int) -> int:
        """Return the side of the resident, 0 or 1, on which a slice is trained: another one in each step.

        Negatives are drawn by row, so the side is part of what decides the bits.
        """
        return (self.number * self.slices + slice_number % self.slices) % 2

    def slices_of(self, group: int) -> list[int]:
        """Return the slices of a group."""
        return list(range(group * self.slices, (group + 1) * self.slices))


def rounds_of_epoch(
    partitions: int, groups: int, *, seats: int = 1, slices: int = 1, seed: int = 0, epoch: int = 0
) -> list[Round]:
    """Return the rounds of one epoch. The same arguments give the same rounds on any machine.

    Parameters
    ----------
    partitions, groups, slices
        Numbers of partitions, of the groups that they are dealt to, and of the slices of a group.
    seats
        The most tasks of a round.
    seed, epoch
        The run's seed and the number of the epoch, which decide the deal.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch))))
    slice_of = deal(partitions, groups, slices, generator)
    settled: set[int] = set()
    seated: list[list[Seat]] = []
    for pairs in meetings(range(groups), seats):
        seated.append([Seat(resident, visitor, resident not in settled) for resident, visitor in pairs])
        settled.update(resident for resident, _ in pairs)
    visitors = [group for group in range(groups) if group not in settled]  # that were never residents
    seated += [
        [Seat(group, None, True) for group in visitors[begin : begin + seats]]
        for begin in range(0, len(visitors), seats)
    ]
    return [Round(epoch, number, slice_of, slices, of_round) for number, of_round in enumerate(seated)]
