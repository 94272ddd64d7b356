"""Reports: what a round did, what its tasks used, and what validation measured after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ValidationResult:
    """Sums over a sample's edges by relation; reciprocal_ranks is empty where ranks were not asked for."""

    edges: dict[str, int]
    loss: dict[str, float]
    reciprocal_ranks: dict[str, float]
    seconds: float  # that the measurement took

    @property
    def held_out_loss(self) -> float:
        """Mean of the edges, or infinity where the loss of one is not finite."""
        return sum(self.loss.values()) / sum(self.edges.values())

    @property
    def monitor_mrr(self) -> float | None:
        if not self.reciprocal_ranks:
            return None
        return sum(self.reciprocal_ranks.values()) / sum(self.edges.values())


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
    held_out: ValidationResult | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> RoundReport:
        """From what `asdict` made of it."""
        held_out = fields["held_out"] and ValidationResult(**fields["held_out"])
        tasks = [TaskUsage(**usage) for usage in fields["tasks"]]
        return cls(**{**fields, "tasks": tasks, "held_out": held_out})
