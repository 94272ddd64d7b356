"""Models as ranking sees them: a vector for each source and each target, whose dot product is the score.

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
from twhin_spark.kernels.topk import comparable
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import StateFile


class VectorReader(Protocol):
    """The vectors of one entity type."""

    def read(self, partition: int, rows: Integers) -> Floats:
        """Those of some rows (n,) of a partition: float32 (n, dim)."""
        ...


@dataclass(frozen=True)
class ScoringModel:
    """The two sides of a model for one relation."""

    sources: VectorReader
    targets: VectorReader


@dataclass(frozen=True)
class TrainedVectors:
    """The run's vectors, changed by an operator, as the comparator compares them.

    The operator identity with no parameters leaves them as they are, and so does the comparator dot.
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
        return comparable(changed, self.comparator)


@dataclass(frozen=True)
class ConstantVectors:
    """A source that has no say, of dimension 1."""

    def read(self, partition: int, rows: Integers) -> Floats:
        return np.ones((len(rows), 1), np.float32)


@dataclass(frozen=True)
class PopularityVectors:
    """A target's training edges of a relation, by their number or their summed weight, of dimension 1."""

    known_positives: KnownPositives
    relation: int
    by: Literal["degree", "weight"]

    def read(self, partition: int, rows: Integers) -> Floats:
        targets = self.known_positives.candidates(self.relation, partition)
        value: Floats = targets[self.by][positions_in(rows, targets["row"]), None]
        return value


@dataclass(frozen=True)
class FactorVectors:
    """One side of a factorisation, in a file for each partition.

    An entity without training edges of the relation has no factors. As a source it has the zero vector; as a target it
    scores lowest. For that there is one dimension more than factors: a source holds a bound of its factors there,
    a target 0, or -2^100 where it has none.
    """

    scratch: Scratch
    name: str
    side: Literal["source", "target"]
    rank: int

    def write(self, partition: int, rows: Integers, factors: Floats) -> None:
        """Writes the factors (n, rank) of the entities in rows (n,), ascending."""
        self.scratch.write(self._file(partition), row=rows, factors=factors)

    def read(self, partition: int, rows: Integers) -> Floats:
        vectors = np.zeros((len(rows), self.rank + 1), np.float32)
        known = np.zeros(len(rows), bool)
        if self.scratch.has(self._file(partition)):
            arrays = self.scratch.read(self._file(partition))
            at = positions_in(rows, arrays["row"])
            known = at >= 0
            vectors[known, :-1] = arrays["factors"][at[known]]
        if self.side == "target":
            vectors[~known, -1] = -(2.0**100)
        else:
            bound = np.abs(vectors[known, :-1]).max(axis=1)
            vectors[known, -1] = np.where(bound > 0, bound, 1)
        return vectors

    def _file(self, partition: int) -> str:
        return f"factors/{self.name}/{self.side}/{partition}"
