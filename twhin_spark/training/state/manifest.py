"""Manifests: each commits a round, and lists every state file that counts from then on.

The names of the fields are keys in the manifests on disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.state.state_files import StateFile

SCHEDULE = 2  # the version of bucket_schedule.py, by which an unfinished run must go on


@dataclass(frozen=True)
class BestEpoch:
    """State after the best epoch so far."""

    epoch: int
    partitions: list[StateFile]  # by partition number
    relations: dict[str, RelationState]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> BestEpoch:
        """Return the state that `asdict` turned into these fields."""
        return cls(fields["epoch"], _state_files(fields), relation_states(fields["relations"]))


@dataclass(frozen=True)
class Manifest:
    """A committed round: everything that training or a reader needs to continue from it."""

    run_id: str
    fence: int  # of the claim under which it was committed; readers take the highest
    epoch: int  # of the round; -1: nothing is trained yet
    round: int
    complete: bool  # training has ended with this round
    groups: int
    partitions: list[StateFile]  # by partition number
    relations: dict[str, RelationState]
    cpu: str  # the kernels give the same bits on one kind of CPU alone
    reports: list[RoundReport] = field(default_factory=list)  # of the rounds since the manifest before
    tasks: int = 1  # of a round, and the slices of a group: see bucket_schedule.py
    slices: int = 1
    schedule: int = SCHEDULE
    history: list[float] = field(default_factory=list)  # by epoch, the metric that decides; empty if none does
    best: BestEpoch | None = None  # if the best epoch is to be kept
    anchors: list[StateFile] = field(default_factory=list)  # by partition; if vectors are pulled to their start

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Manifest:
        """Return the manifest that `asdict` turned into these fields.

        A manifest of the first schedule can be read, but training cannot go on from it.
        """
        known = {"schedule": 1, **fields}
        known.pop("super_groups", None)  # of the first schedule
        return cls(
            **{
                **known,
                "partitions": _state_files(fields),
                "relations": relation_states(fields["relations"]),
                "reports": [RoundReport.from_fields(report) for report in fields["reports"]],
                "anchors": [StateFile(**file) for file in fields.get("anchors", ())],
                "best": fields["best"] and BestEpoch.from_fields(fields["best"]),
            }
        )

    @property
    def position(self) -> str:
        """How far training has come, in words."""
        return f"epoch {self.epoch + 1}, round {self.round + 1}" if self.epoch >= 0 else "the first vectors"

    @property
    def kept(self) -> Manifest:
        """The manifest of the model that is evaluated and published: the best epoch's if that is kept, else this."""
        if self.best is None:
            return self
        return replace(self, epoch=self.best.epoch, partitions=self.best.partitions, relations=self.best.relations)


def relation_states(fields: Mapping[str, Any]) -> dict[str, RelationState]:
    """Return the relations, by name, that `asdict` turned into these fields."""
    return {name: RelationState(**state) for name, state in fields.items()}


def _state_files(fields: Mapping[str, Any]) -> list[StateFile]:
    return [StateFile(**file) for file in fields["partitions"]]
