"""The part of a model that validation needs: the ends of the validation edges, and entities drawn as negatives.

Used on workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twhin_spark.graph.entity_location import Locations, location_of, rows_in
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.model import Edges
from twhin_spark.training.state.relation_state import RelationSettings
from twhin_spark.training.state.validation_sample import ValidationSample

NEGATIVES = 8192  # entities of a type that the uniform negatives of the held-out loss are drawn from


class HasVectors(Protocol):
    @property
    def vectors(self) -> Floats: ...


PartitionState = Mapping[str, HasVectors]  # by type, vectors (rows, dim)


@dataclass(frozen=True)
class ValidationEdges:
    """Validation edges, with the relations and the entity types that their numbers refer to."""

    sample: ValidationSample
    relations: Sequence[RelationSettings]  # by index
    types: Sequence[str]

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def relation_numbers(self) -> list[int]:
        """The indices of the relations that have validation edges, ascending."""
        numbers: list[int] = np.unique(self.sample.relation).tolist()
        return numbers

    def has_source_of(self, entity_type: str) -> NDArray[np.bool_]:
        """Return which edges have a source of this type, (n,)."""
        return np.array([relation.source == entity_type for relation in self.relations])[self.sample.relation]

    def has_target_of(self, entity_type: str) -> NDArray[np.bool_]:
        """Return which edges have a target of this type, (n,)."""
        return np.array([relation.target == entity_type for relation in self.relations])[self.sample.relation]

    def ends_of(self, entity_type: str) -> Locations:
        """Return the locations of the edges' ends of this type, ascending and without repetition."""
        sources = self.sample.source[self.has_source_of(entity_type)]
        return np.unique(np.concatenate([sources, self.sample.target[self.has_target_of(entity_type)]]))


@dataclass(frozen=True)
class ModelExcerpt:
    """Some entities of a model: by type their locations (m,), ascending, and their vectors (m, dim)."""

    locations: dict[str, Locations]
    vectors: dict[str, Floats]

    def edges(self, validation_edges: ValidationEdges) -> Edges:
        """Return the validation edges with their ends as rows of the excerpt."""
        sample, relations = validation_edges.sample, validation_edges.relations
        source, target = np.empty((2, len(sample)), np.int32)
        for i in validation_edges.relation_numbers:
            rows = sample.relation == i
            source[rows] = np.searchsorted(self.locations[relations[i].source], sample.source[rows])
            target[rows] = np.searchsorted(self.locations[relations[i].target], sample.target[rows])
        return Edges(source, target, sample.relation.astype(np.int16), sample.weight)


def take_excerpt(
    states: Iterable[tuple[int, PartitionState]], edges: ValidationEdges, *, partitions: int, seed: int
) -> ModelExcerpt:
    """Copy the ends of the validation edges, and about NEGATIVES random entities of each type, out of a model.

    Parameters
    ----------
    states
        The model's partitions, ascending.
    edges
        The validation edges.
    partitions
        The number of the model's partitions. Each gives its part of NEGATIVES.
    seed
        The run's seed. The random entities depend on it alone, so they are the same after every epoch.
    """
    ends = {name: edges.ends_of(name) for name in edges.types}
    locations: dict[str, list[Locations]] = {name: [] for name in edges.types}
    vectors: dict[str, list[Floats]] = {name: [] for name in edges.types}
    for partition, state in states:
        for number, name in enumerate(edges.types):
            count = len(state[name].vectors)
            generator = np.random.default_rng((seed, partition, number))
            drawn: Integers = generator.choice(count, min(count, -(-NEGATIVES // partitions)), replace=False)
            rows = np.union1d(rows_in(ends[name], partition), drawn)
            locations[name].append(location_of(partition, rows))
            vectors[name].append(state[name].vectors[rows])
    return ModelExcerpt(
        {name: np.concatenate(parts) for name, parts in locations.items()},
        {name: np.concatenate(parts) for name, parts in vectors.items()},
    )
