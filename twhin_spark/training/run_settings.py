"""Settings that stay the same during a run, as its tasks take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.state.relation_state import RelationSettings


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run. `relations` are by index, as in `edge_buckets`. `frozen`: types that are not updated."""

    output: str
    run_id: str
    seed: int
    entity_types: tuple[str, ...]
    relations: tuple[RelationSettings, ...]
    train: TrainSettings
    frozen: frozenset[str] = frozenset()

    @property
    def sampling(self) -> Floats:
        """How many times an epoch trains an edge of each relation, (relations,)."""
        return np.array([relation.sampling for relation in self.relations])

    @property
    def relation_ends(self) -> list[tuple[int, int]]:
        """Of each relation the indices of its source type and of its target type."""
        number = {name: k for k, name in enumerate(self.entity_types)}
        return [(number[relation.source], number[relation.target]) for relation in self.relations]
