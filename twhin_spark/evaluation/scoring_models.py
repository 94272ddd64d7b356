"""Models as ranking reads them: a vector for each source and each target, whose dot product is the score.

Used on workers, a partition at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from twhin_spark.evaluation.known_positives import KnownPositives
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.graph.entity_location import positions_in
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.topk import comparison_vectors
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import StateFile


class VectorReader(Protocol):
    """A reader of the vectors of one entity type, as sources or as targets."""

    def read(self, partition: int, rows: Integers) -> Floats:
        """Read the vectors of some rows (n,) of a partition: float32 (n, dim)."""
        ...


@dataclass(frozen=True)
class ScoringModel:
    """The two sides of a model for one relation."""

    sources: VectorReader
    targets: VectorReader


@dataclass(frozen=True)
class TrainedVectors:
    """The vectors of a training run after a relation's operator, normalised if the similarity is cosine.

    The operator identity, which has no parameters, and the comparator dot leave vectors as they are.
    """

    folder: RunFolder
    files: Sequence[StateFile]  # by partition
    types: Sequence[str]  # in the files' order
    entity_type: str
    operator: str = "identity"
    parameters: Sequence[float] = ()
    comparator: str = "dot"

    def read(self, partition: int, rows: Integers) -> Floats:
        state = self.folder.read_partition(self.files[partition], self.types)
        parameters = np.array(self.parameters, np.float32)
        changed = OPERATORS[self.operator].apply(parameters, state[self.entity_type].vectors[rows])
        return comparison_vectors(changed, self.comparator)


@dataclass(frozen=True)
class ConstantVectors:
    """The vector (1) for every entity, so that a score depends on the other end alone."""

    def read(self, partition: int, rows: Integers) -> Floats:
        return np.ones((len(rows), 1), np.float32)


@dataclass(frozen=True)
class PopularityVectors:
    """The vector (p) for each target, p its number of training edges of a relation or the sum of their weights."""

    known_positives: KnownPositives
    relation: int
    by: Literal["degree", "weight"]

    def read(self, partition: int, rows: Integers) -> Floats:
        candidates = self.known_positives.candidates(self.relation, partition)
        vectors: Floats = candidates[self.by][positions_in(rows, candidates["row"]), None]
        return vectors


@dataclass(frozen=True)
class FactorVectors:
    """One side of a factorisation, in a file for each partition.

    An entity without training edges of the relation has no factors. As a source it has the zero vector; as a target it
    scores below all others. A last dimension, beside the factors, sees to that: a source with factors holds the largest
    of their magnitudes there (1 if all are 0), a target with factors 0, and a target without factors -2^100.

    With the source (3, -5 | 5), a target (1, 1 | 0) scores -2 and one without factors, (0, 0 | -2^100), -5 · 2^100.
    """

    scratch: Scratch
    name: str
    side: Literal["source", "target"]
    rank: int

    def write(self, partition: int, rows: Integers, factors: Floats) -> None:
        """Write the factors (n, rank) of the entities in rows (n,), ascending."""
        self.scratch.write(self._file(partition), row=rows, factors=factors)

    def read(self, partition: int, rows: Integers) -> Floats:
        vectors = np.zeros((len(rows), self.rank + 1), np.float32)
        has_factors = np.zeros(len(rows), bool)
        if self.scratch.has(self._file(partition)):
            arrays = self.scratch.read(self._file(partition))
            position = positions_in(rows, arrays["row"])
            has_factors = position >= 0
            vectors[has_factors, :-1] = arrays["factors"][position[has_factors]]
        if self.side == "target":
            vectors[~has_factors, -1] = -(2.0**100)
        else:
            bound = np.abs(vectors[has_factors, :-1]).max(axis=1)
            vectors[has_factors, -1] = np.where(bound > 0, bound, 1)
        return vectors

    def _file(self, partition: int) -> str:
        return f"factors/{self.name}/{self.side}/{partition}"
