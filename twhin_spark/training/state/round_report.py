"""Reports of rounds: the edges and losses, the time and memory of the tasks, and the validation after an epoch.

The names of the fields are keys in the manifests on disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ValidationResult:
    """Sums over the validation edges, by relation. `reciprocal_ranks` is empty if ranks were not measured."""

    edges: dict[str, int]
    loss: dict[str, float]
    reciprocal_ranks: dict[str, float]
    seconds: float  # that the measurement took

    @property
    def held_out_loss(self) -> float:
        """Mean loss of an edge; infinite if the loss of any edge is not finite."""
        return sum(self.loss.values()) / sum(self.edges.values())

    @property
    def monitor_mrr(self) -> float | None:
        """Mean reciprocal rank of the edges; None if ranks were not measured."""
        if not self.reciprocal_ranks:
            return None
        return sum(self.reciprocal_ranks.values()) / sum(self.edges.values())


@dataclass(frozen=True)
class TaskUsage:
    """What one task used: wall time in seconds, state in bytes, and the peak resident memory of its Python process."""

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
    """Report of one round.

    edges and loss: edges trained and their summed loss, by relation. seconds: wall time.
    held_out: the validation after the round, if the round ended an epoch and there are validation edges.
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
        """Return the report that `asdict` turned into these fields."""
        held_out = fields["held_out"] and ValidationResult(**fields["held_out"])
        tasks = [TaskUsage(**usage) for usage in fields["tasks"]]
        return cls(**{**fields, "tasks": tasks, "held_out": held_out})
