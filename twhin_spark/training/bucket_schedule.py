"""The bucket schedule: which edges of an epoch are trained in which round, by which task, in which order.

Each epoch deals the partitions anew into groups, so that no two entities are apart in all epochs and negatives come
from changing neighbours. Some groups form a super-group, which a single task walks through. The super-groups play a
round-robin tournament: the pairs of a round are disjoint, so its tasks share no partition and need no lock server, and
any two super-groups meet once. A task holds two groups at a time. It walks the pairs of groups of the two super-groups
that meet and swaps one group a step, which moves about half the bytes that a tournament of all groups would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from twhin_spark.kernels.arrays import Integers

Pair = tuple[int, int]


def deal(partitions: int, groups: int, generator: np.random.Generator) -> Integers:
    """Deal the partitions to groups at random, so that the sizes of groups differ by one at most.

    Example: 5 partitions in the random order 3, 0, 4, 1, 2 are dealt like cards to 2 groups. Partitions 3, 4 and 2 go
    to group 0, and partitions 0 and 1 to group 1, so the result is [1, 1, 0, 0, 0].

    Returns
    -------
    array of int64, (partitions,)
        The group of each partition.
    """
    group_of = np.empty(partitions, dtype=np.int64)
    group_of[generator.permutation(partitions)] = np.arange(partitions) % groups
    return group_of


def tournament(players: int) -> list[list[Pair]]:
    """Return rounds of disjoint pairs (a < b) in which any two players meet once, by the circle method.

    One player has a fixed seat, and the others sit in a circle around it. In round t the player of seat t meets the
    fixed one, and those i seats before and after t meet each other. Example: of 4 players, 3 has the fixed seat, so the
    rounds are

        [(0, 3), (1, 2)], [(1, 3), (0, 2)], [(2, 3), (0, 1)]

    An even number of players takes players - 1 rounds. An odd one takes as many rounds as players: the fixed seat is
    empty, and the player that would meet it rests. A single player meets itself: [[(0, 0)]].
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
    """Return all pairs of a left and a right group, such that each pair shares one group with the pair before.

    Example: of [0, 1] and [2, 3] they are (0, 2), (0, 3), (1, 3), (1, 2): the right groups there and back again.
    """
    return [(a, b) for i, a in enumerate(left) for b in (right if i % 2 == 0 else right[::-1])]


def inner_pairs(groups: Sequence[int]) -> list[Pair]:
    """Return all pairs of some groups, such that each pair shares one with the pair before.

    This is the inside-out order of PyTorch-BigGraph: each group in turn meets all groups before it, alternately from
    the first to the last and from the last to the first. Example: of groups 0 to 3 the pairs are

        (0, 1), (0, 2), (1, 2), (2, 3), (1, 3), (0, 3)

    so a task that holds two groups loads 2 for the first pair and 1 for each of the other five, 7 in all.
    """
    return [(a, b) for i, b in enumerate(groups) for a in (groups[:i] if i % 2 == 0 else groups[:i][::-1])]


@dataclass(frozen=True)
class Round:
    """One round of an epoch.

    Task t trains the edges between the pairs of groups `walks[t]`, one pair after the other.
    """

    epoch: int
    number: int
    group_of: Integers  # (partitions,): the group of each partition
    walks: list[list[Pair]]
    turn_of: Integers  # (groups,): in how many earlier rounds of this epoch each group was trained
    turns: int  # rounds of the epoch in which each group is trained

    @property
    def tasks(self) -> int:
        return len(self.walks)

    def steps(self) -> tuple[Integers, Integers]:
        """Task that trains the edges between two groups, and the step of its walk: two arrays (groups, groups).

        They are -1 if no task of this round does. Edges inside a group are trained in the first step that holds it.
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
        """Return the partitions of a group, ascending."""
        return [int(p) for p in np.flatnonzero(self.group_of == group)]

    def share(self, source_partition: int, target_partition: int) -> slice:
        """Return which edges of a block this round trains, if some task of it trains the groups of both partitions.

        Between two groups these are all edges, as the groups meet once an epoch. A group itself takes part in several
        rounds, which share the edges inside it: its turn n of m trains every m-th edge from the n-th on. Blocks are
        sorted by relation, so such a stride has its part of every relation. Example: of a block of 7 edges inside a
        group with 3 turns, turn 0 trains the edges 0, 3 and 6, turn 1 those at 1 and 4, and turn 2 those at 2 and 5.
        """
        group = self.group_of[source_partition]
        if group != self.group_of[target_partition]:
            return slice(None)
        return slice(int(self.turn_of[group]), None, self.turns)


def rounds_of_epoch(partitions: int, groups: int, super_groups: int, seed: int, epoch: int) -> list[Round]:
    """Return the rounds of one epoch. The same arguments give the same rounds on any machine.

    Parameters
    ----------
    partitions, groups
        Numbers of partitions, and of the groups that they are dealt to.
    super_groups
        A divisor of `groups`. If it equals `groups`, the groups themselves play the tournament.
    seed, epoch
        The run's seed and the number of the epoch, which decide the deal.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch))))
    group_of = deal(partitions, groups, generator)
    members = [[int(group) for group in part] for part in np.split(np.arange(groups), super_groups)]
    turns = max(super_groups - 1, 1)
    inner = [_split_evenly(inner_pairs(groups_within), turns) for groups_within in members]
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


def _split_evenly(pairs: list[Pair], turns: int) -> list[list[Pair]]:
    """Cut the pairs inside a super-group into nearly equal runs, one for each of its turns."""
    bounds = [len(pairs) * turn // turns for turn in range(turns + 1)]
    return [pairs[begin:end] for begin, end in pairwise(bounds)]
