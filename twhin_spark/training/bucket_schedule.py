"""Who trains what when: partitions dealt into groups, groups meeting in rounds, each edge in exactly one of them.

An epoch deals the partitions anew, so no two entities are kept apart for ever and negatives come from changing
neighbours. Groups that a single task can walk through form a super-group. The super-groups play a round-robin
tournament: the pairs of a round are disjoint, so its tasks share no partition and need no lock server, and each two
super-groups meet once. A task holds two groups at a time and walks the pairs of groups of the super-groups that meet,
swapping one group a step, which moves about half the bytes that a tournament of all the groups would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from twhin_spark.kernels.arrays import Integers

Pair = tuple[int, int]


def deal(partitions: int, groups: int, generator: np.random.Generator) -> Integers:
    """The group of each partition, (partitions,): a random deal in which group sizes differ by one at most."""
    group_of = np.empty(partitions, dtype=np.int64)
    group_of[generator.permutation(partitions)] = np.arange(partitions) % groups
    return group_of


def tournament(players: int) -> list[list[Pair]]:
    """Rounds of disjoint pairs (a < b) in which each two players meet once: the circle method.

    An even number of players takes players - 1 rounds. An odd one takes as many rounds as players; in each of them one
    rests. A single player meets itself: [[(0, 0)]].
    """
    if players == 1:
        return [[(0, 0)]]
    circle = players - 1 + players % 2  # seats around the fixed one; with odd players the fixed seat is empty
    rounds = []
    for turn in range(circle):
        met = [(turn, circle)] + [((turn + i) % circle, (turn - i) % circle) for i in range(1, (circle + 1) // 2)]
        rounds.append([(min(pair), max(pair)) for pair in met if max(pair) < players])
    return rounds


def cross_pairs(left: Sequence[int], right: Sequence[int]) -> list[Pair]:
    """All pairs of a left and a right group, each sharing one group with the pair before: there and back again."""
    return [(a, b) for i, a in enumerate(left) for b in (right if i % 2 == 0 else right[::-1])]


def inner_pairs(groups: Sequence[int]) -> list[Pair]:
    """All pairs of these groups, each sharing one with the pair before: PyTorch-BigGraph's inside-out order."""
    return [(a, b) for i, b in enumerate(groups) for a in (groups[:i] if i % 2 == 0 else groups[:i][::-1])]


@dataclass(frozen=True)
class Round:
    """One round of an epoch. Task t trains the pairs of groups `walks[t]`, one after the other."""

    epoch: int
    number: int
    group_of: Integers  # (partitions,) group of each partition
    walks: list[list[Pair]]
    turn_of: Integers  # (groups,) in how many rounds of this epoch each group has been before
    turns: int  # rounds of the epoch that each group is in

    @property
    def tasks(self) -> int:
        return len(self.walks)

    @cached_property
    def places(self) -> tuple[Integers, Integers]:
        """Task and step of its walk that train the edges between two groups, both (groups, groups); -1: none here.

        Edges inside a group are trained in the first step that holds it.
        """
        task_of = np.full((len(self.turn_of), len(self.turn_of)), -1, dtype=np.int64)
        step_of = task_of.copy()
        for task, walk in enumerate(self.walks):
            for step, (a, b) in enumerate(walk):
                for pair in ((a, b), (b, a), (a, a), (b, b)):
                    if task_of[pair] < 0:
                        task_of[pair], step_of[pair] = task, step
        return task_of, step_of

    def partitions_of(self, group: int) -> list[int]:
        """The partitions of a group, ascending."""
        return [int(p) for p in np.flatnonzero(self.group_of == group)]

    def share(self, source_partition: int, target_partition: int) -> slice:
        """Which of a block's edges this round trains, given that some task of it trains the two groups.

        All of them between two groups. Inside a group, at its n-th of m turns, every m-th edge from the n-th on:
        blocks are sorted, and a stride takes its part of every relation.
        """
        group = self.group_of[source_partition]
        if group != self.group_of[target_partition]:
            return slice(None)
        return slice(int(self.turn_of[group]), None, self.turns)


def rounds_of_epoch(partitions: int, groups: int, super_groups: int, seed: int, epoch: int) -> list[Round]:
    """The rounds of one epoch. The same arguments give the same rounds, on any machine.

    super_groups: a divisor of `groups`; as many as these is a tournament of the groups themselves.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch))))
    group_of = deal(partitions, groups, generator)
    members = [[int(g) for g in own] for own in np.split(np.arange(groups), super_groups)]
    turns = max(super_groups - 1, 1)
    inner = [_deal_out(inner_pairs(own), turns) for own in members]
    played = np.zeros(super_groups, dtype=np.int64)
    rounds = []
    for number, pairs in enumerate(tournament(super_groups)):
        walks = []
        for a, b in pairs:
            if a == b:
                walks.append(inner[a][0] or [(0, 0)])
            else:
                walks.append([*inner[a][played[a]], *cross_pairs(members[a], members[b]), *inner[b][played[b]]])
        turn_of = np.repeat(played, groups // super_groups)
        rounds.append(Round(epoch, number, group_of, walks, turn_of, turns))
        played[sorted({player for pair in pairs for player in pair})] += 1
    return rounds


def _deal_out(pairs: list[Pair], turns: int) -> list[list[Pair]]:
    """Nearly equal runs of a super-group's inner pairs, one for each of its turns."""
    bounds = [len(pairs) * turn // turns for turn in range(turns + 1)]
    return [pairs[begin:end] for begin, end in pairwise(bounds)]
