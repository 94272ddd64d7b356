"""Relays: consecutive rounds of an epoch that one Spark job trains.

A task of the job runs in each of the rounds, so it is called a lane. It keeps its resident group, and passes the slices
of visitors on to other lanes through state files. A relay ends with a commit. How an epoch is cut into relays, and how
many lanes there are, changes no bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.bucket_schedule import Round, Seat

PIPELINED_SLICES = 3  # of a group: one is trained with, while the one before is written and the next one is read


@dataclass(frozen=True)
class Relay:
    """Consecutive rounds of one epoch, the settings of each, and the most lanes."""

    rounds: list[Round]
    settings: list[TrainSettings]
    lanes: int

    @property
    def width(self) -> int:
        """Number of lanes."""
        return min(self.lanes, self._seats)

    @property
    def exchanges(self) -> bool:
        """True if lanes must tell each other what they have done, so that all of them must run at the same time."""
        return self.width > 1 and len(self.rounds) > 1

    @property
    def pipelined(self) -> bool:
        """True if slices pass from lane to lane in the middle of a round, while others are trained.

        A slice is trained in one step, written in the next one, and read by another lane in the one after that. So each
        lane must have one seat, and a group PIPELINED_SLICES at least.
        """
        return self.exchanges and self.width == self._seats and self.rounds[0].slices >= PIPELINED_SLICES

    @property
    def messages_of_round(self) -> int:
        """Number of messages that each lane sends in a round."""
        return self.rounds[0].slices if self.pipelined else 1

    @property
    def messages(self) -> int:
        """Number of messages that each lane sends in the relay."""
        return self.messages_of_round * len(self.rounds)

    def seats_of(self, lane: int, number: int) -> list[tuple[int, Seat]]:
        """Return the numbered seats of a lane in a round of the relay, in the order in which it trains them."""
        width = self.width
        return [(task, seat) for task, seat in enumerate(self.rounds[number].seats) if task % width == lane]

    def ends_with_all_written(self, number: int) -> bool:
        """Return if a round ends with all slices written but those of residents that stay.

        That is so in each round if slices do not pass in the middle of one; else, if any resident changes after it.
        """
        if not self.pipelined or number + 1 == len(self.rounds):
            return True
        before, after = ([seat.resident for seat in self.rounds[n].seats] for n in (number, number + 1))
        return before != after or any(seat.visitor is None for seat in self.rounds[number + 1].seats)

    def stays(self, lane: int, number: int) -> int | None:
        """Return the resident that a lane keeps after a round, or None."""
        if number + 1 == len(self.rounds):
            return None
        before, after = self.seats_of(lane, number), self.seats_of(lane, number + 1)
        return before[-1][1].resident if before and after and before[-1][1].resident == after[0][1].resident else None

    def position(self, number: int, task: int, step: int) -> int:
        """Return the number by which the edges of a step are sorted: by round of the relay, task and step.

        Step 0 trains the edges inside the resident, and step n those between it and the visitor's n-th slice.
        """
        return (number * self._seats + task) * self._steps + step

    def place(self, position: int) -> tuple[int, int, int]:
        """Return the round of the relay, the task and the step of a position."""
        rest, step = divmod(position, self._steps)
        return *divmod(rest, self._seats), step

    @property
    def _seats(self) -> int:
        return max(training_round.tasks for training_round in self.rounds)

    @property
    def _steps(self) -> int:
        return self.rounds[0].slices + 1
