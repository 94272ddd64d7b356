"""What is said of a training's state: its files, what rounds did, and the manifests that commit both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.validation.validation_loss import Measured


@dataclass(frozen=True)
class StateFile:
    """A partition's file, by its name in the run's folder: of each type the vectors, then the accumulators.

    Raw little-endian float32, so that they are read into the place where they are trained, and written from there.
    """

    name: str
    rows: list[int]  # entities by type, in the run's order of types
    dim: int
    crc32: int

    @property
    def bytes(self) -> int:
        return sum(self.rows) * (self.dim + 1) * 4


@dataclass(frozen=True)
class TaskUsage:
    """What a task took: wall time in seconds, bytes of state, peak resident bytes of its Python process."""

    edge_seconds: float  # waiting for edges and unpacking them
    read_seconds: float  # reading state
    kernel_seconds: float
    write_seconds: float  # writing state
    read_bytes: int
    written_bytes: int
    peak_rss_bytes: int

    @property
    def seconds(self) -> float:
        return self.edge_seconds + self.read_seconds + self.kernel_seconds + self.write_seconds


@dataclass(frozen=True)
class RoundReport:
    """Of one round: wall time in seconds; edges and summed loss by relation; what its tasks took; learning rates.

    held_out: what the model was worth after the round, where it ended an epoch and there is something to measure on.
    """

    epoch: int
    number: int
    seconds: float
    edges: dict[str, int]
    loss: dict[str, float]
    tasks: list[TaskUsage] = field(default_factory=list)
    learning_rate: float = 0.0
    relation_learning_rate: float = 0.0
    held_out: Measured | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> RoundReport:
        """From what `asdict` made of it."""
        held_out = fields["held_out"] and Measured(**fields["held_out"])
        tasks = [TaskUsage(**usage) for usage in fields["tasks"]]
        return cls(**{**fields, "tasks": tasks, "held_out": held_out})


@dataclass(frozen=True)
class BestEpoch:
    """The state after the best epoch until now."""

    epoch: int
    partitions: list[StateFile]  # by partition number
    relations: dict[str, RelationState]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> BestEpoch:
        """From what `asdict` made of it."""
        relations = {name: RelationState(**state) for name, state in fields["relations"].items()}
        return cls(fields["epoch"], [StateFile(**file) for file in fields["partitions"]], relations)


@dataclass(frozen=True)
class Manifest:
    """A committed round: everything that training or a reader needs to go on from there."""

    run_id: str
    fence: int  # of the claim under which it was committed; a reader takes the highest
    epoch: int  # of the round; -1: nothing trained yet
    round: int
    complete: bool  # training has ended with this round
    groups: int
    partitions: list[StateFile]  # by partition number
    relations: dict[str, RelationState]
    cpu: str  # the kernels' bits hold on one kind of CPU
    reports: list[RoundReport] = field(default_factory=list)  # of the rounds since the manifest before
    super_groups: int = 1  # a divisor of groups, see schedule.py
    history: list[float] = field(default_factory=list)  # by epoch, the metric that decides; empty where none does
    best: BestEpoch | None = None  # where the best epoch is kept

    @property
    def place(self) -> str:
        """How far training has come, in words."""
        return f"epoch {self.epoch + 1}, round {self.round + 1}" if self.epoch >= 0 else "the first vectors"

    @property
    def kept(self) -> Manifest:
        """As if training had ended with the best epoch, where that is kept: what is evaluated and published."""
        if self.best is None:
            return self
        return replace(self, epoch=self.best.epoch, partitions=self.best.partitions, relations=self.best.relations)
