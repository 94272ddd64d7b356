"""Relays: consecutive rounds of an epoch that one Spark job trains.

A task of the job runs in each of the rounds, so it is called a lane: it keeps the groups that it trains in the next
round, too, and passes the others on to other lanes through state files. A relay ends with a commit. How an epoch is cut
into relays, and which lane trains which pair, changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.bucket_schedule import Round


@dataclass(frozen=True)
class Relay:
    """Consecutive rounds of one epoch, the settings of each, and the lane of each task: `lanes[round][task]`."""

    rounds: list[Round]
    settings: list[TrainSettings]
    lanes: list[list[int]]

    @property
    def width(self) -> int:
        """Number of lanes."""
        return 1 + max(map(max, self.lanes))

    @property
    def exchanges(self) -> bool:
        """True if lanes must tell each other what they have done, so that all of them must run at the same time."""
        return self.width > 1 and len(self.rounds) > 1

    def position(self, number: int, task: int, step: int) -> int:
        """Return the number by which the edges of a step are sorted: by round of the relay, task and step."""
        return (number * self._tasks + task) * self._steps + step

    def place(self, position: int) -> tuple[int, int, int]:
        """Return the round of the relay, the task and the step of a position."""
        rest, step = divmod(position, self._steps)
        return *divmod(rest, self._tasks), step

    def tasks_of(self, lane: int, number: int) -> list[int]:
        """Return the tasks of a lane in a round of the relay, in the order in which it runs them."""
        return [task for task, of_task in enumerate(self.lanes[number]) if of_task == lane]

    def leaving(self, lane: int, number: int) -> set[int]:
        """Return the groups that a lane passes on after a round: all but those that it trains in the next one, too."""
        groups = self.groups_of(lane, [number])
        return groups - self.groups_of(lane, [number + 1]) if number + 1 < len(self.rounds) else groups

    def groups_of(self, lane: int, numbers: Iterable[int]) -> set[int]:
        """Return the groups that a lane trains in some rounds of the relay."""
        return {
            group
            for number in numbers
            for task in self.tasks_of(lane, number)
            for pair in self.rounds[number].walks[task]
            for group in pair
        }

    @property
    def _tasks(self) -> int:
        return max(training_round.tasks for training_round in self.rounds)

    @property
    def _steps(self) -> int:
        return max(len(walk) for training_round in self.rounds for walk in training_round.walks)


def plan_lanes(rounds: Sequence[Round], lanes: int) -> list[list[int]]:
    """Return the lane of each task of some rounds, such that groups change lanes as rarely as the rounds allow.

    With a lane for each task, a task goes to a lane that has trained one of its two super-groups in the round before.
    As each super-group is in one task of either round, there is a perfect matching. So one of two super-groups stays,
    and half of the state moves. Example: of 4 groups, the pairs (0, 3) and (1, 2) are followed by (1, 3) and (0, 2).
    Lane 0 keeps group 3, and lane 1 keeps group 2; groups 0 and 1 change places.

    With fewer lanes than tasks, each lane runs several tasks of a round, one after the other.

    Parameters
    ----------
    rounds
        Consecutive rounds of an epoch.
    lanes
        The number of tasks that can run at the same time.
    """
    planned: list[list[int]] = []
    for number, training_round in enumerate(rounds):
        tasks = training_round.tasks
        if planned and tasks == len(planned[-1]) <= lanes:
            planned.append(_matched(rounds[number - 1], planned[-1], training_round))
        else:
            count = min(lanes, tasks)
            planned.append([task * count // tasks for task in range(tasks)])
    return planned


def _matched(before: Round, lanes: Sequence[int], after: Round) -> list[int]:
    """Return the lane of each task of a round, given those of the round before, if each lane runs one task."""
    lane_of_group = {group: lanes[task] for task, walk in enumerate(before.walks) for pair in walk for group in pair}
    candidates = [
        sorted({lane_of_group[group] for pair in walk for group in pair if group in lane_of_group})
        for walk in after.walks
    ]
    rows = np.repeat(np.arange(after.tasks), [len(of_task) for of_task in candidates])
    columns = np.array([lane for of_task in candidates for lane in of_task], dtype=np.int64)
    shared = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(after.tasks, after.tasks)).tocsr()
    matched = maximum_bipartite_matching(shared, perm_type="column").tolist()
    free = iter(sorted(set(range(after.tasks)) - set(matched)))
    return [lane if lane >= 0 else next(free) for lane in matched]
