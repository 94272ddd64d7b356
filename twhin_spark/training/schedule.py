"""Who trains what when: partitions dealt into groups, groups meeting in rounds, each edge in exactly one of them.

An epoch deals the partitions anew, so no two entities are kept apart for ever and negatives come from changing
neighbours. Then the groups play a round-robin tournament: the pairs of a round are disjoint, so its tasks share no
partition and need no lock server; each two groups meet once and train the edges between them. The edges inside a
group are split over the group's meetings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Integers

Pair = tuple[int, int]


def deal(partitions: int, groups: int, generator: np.random.Generator) -> Integers:
    """The group of each partition, (partitions,): a random deal in which group sizes differ by one at most."""
    group_of = np.empty(partitions, dtype=np.int64)
    group_of[generator.permutation(partitions)] = np.arange(partitions) % groups
    return group_of


def tournament(groups: int) -> list[list[Pair]]:
    """Rounds of disjoint pairs (a < b) in which each two groups meet once: the circle method.

    An even number of groups takes groups - 1 rounds. An odd one takes as many rounds as groups; in each of them one
    group rests. A single group meets itself: [[(0, 0)]].
    """
    if groups == 1:
        return [[(0, 0)]]
    circle = groups - 1 + groups % 2  # seats around the fixed one; with odd groups the fixed seat is empty
    rounds = []
    for turn in range(circle):
        met = [(turn, circle)] + [((turn + i) % circle, (turn - i) % circle) for i in range(1, (circle + 1) // 2)]
        rounds.append([(min(pair), max(pair)) for pair in met if max(pair) < groups])
    return rounds


@dataclass(frozen=True)
class Round:
    """One round of an epoch, as arrays that place a bucket: task `task_of[group_of[partition]]`."""

    epoch: int
    number: int
    group_of: Integers  # (partitions,) group of each partition
    task_of: Integers  # (groups,) task of each group in this round; -1: it rests
    meeting_of: Integers  # (groups,) how many meetings each group has had in this epoch
    meetings: int  # meetings of each group in the epoch

    @property
    def tasks(self) -> int:
        return int(self.task_of.max()) + 1

    def partitions_of(self, task: int) -> list[int]:
        """The partitions that a task loads, ascending."""
        return [int(p) for p in np.flatnonzero(self.task_of[self.group_of] == task)]

    def share(self, source_partition: int, target_partition: int) -> slice:
        """Which of a block's edges this round trains, given that both partitions are with one task.

        All of them between two groups. Inside a group, at its n-th of m meetings, every m-th edge from the n-th on:
        blocks are sorted, and a stride takes its part of every relation.
        """
        group = self.group_of[source_partition]
        if group != self.group_of[target_partition]:
            return slice(None)
        return slice(int(self.meeting_of[group]), None, self.meetings)


def rounds_of_epoch(partitions: int, groups: int, seed: int, epoch: int) -> list[Round]:
    """The rounds of one epoch. The same arguments give the same rounds, on any machine."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch))))
    group_of = deal(partitions, groups, generator)
    played = np.zeros(groups, dtype=np.int64)
    rounds = []
    for number, pairs in enumerate(tournament(groups)):
        task_of = np.full(groups, -1, dtype=np.int64)
        for task, pair in enumerate(pairs):
            task_of[list(pair)] = task
        rounds.append(Round(epoch, number, group_of, task_of, played.copy(), max(groups - 1, 1)))
        played[task_of >= 0] += 1
    return rounds
