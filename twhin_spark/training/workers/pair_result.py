"""Results of a pair of super-groups, which tasks of a relay tell each other and the driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twhin_spark.training.state.manifest import relation_states
from twhin_spark.training.state.relation_state import RelationState, merge
from twhin_spark.training.state.round_report import TaskUsage


@dataclass(frozen=True)
class PairResult:
    """Result of one task of a round.

    Attributes
    ----------
    number, task
        The round in its relay, and the task in the round.
    edges, loss
        Edges trained and their summed loss, by relation.
    relations
        The relations that it trained, as it left them.
    diverged
        The relation at which a loss was not finite, or None; all else is empty then.
    """

    number: int
    task: int
    edges: dict[str, int] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    relations: dict[str, RelationState] = field(default_factory=dict)
    usage: TaskUsage | None = None
    diverged: str | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> PairResult:
        """Return the result that `asdict` turned into these fields."""
        usage = fields["usage"] and TaskUsage(**fields["usage"])
        return cls(**{**fields, "relations": relation_states(fields["relations"]), "usage": usage})


def relations_after(before: Mapping[str, RelationState], pairs: Iterable[PairResult]) -> dict[str, RelationState]:
    """Return the relations after a round, given those before and the results of the round."""
    ordered = sorted(pairs, key=lambda pair: pair.task)
    trained = {
        name: [(pair.edges[name], pair.relations[name]) for pair in ordered if name in pair.relations]
        for name in before
    }
    return {name: merge(state, trained[name]) if trained[name] else state for name, state in before.items()}
