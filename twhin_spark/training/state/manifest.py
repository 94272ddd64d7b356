"""What is said of a training's state: its files, what rounds did, and the manifests that commit both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.state.state_files import StateFile


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
