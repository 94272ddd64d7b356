"""A query as the job runs it, on the driver and on workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.topk import in_fixed_point, unit_vectors

if TYPE_CHECKING:  # workers have no pydantic
    from twhin_spark.config.base import Measure
    from twhin_spark.config.retrieval import Method


@dataclass(frozen=True)
class Parameters:
    """How a relation, or plain similarity (the identity), changes the vectors of sources, and compares them."""

    operator: str = "identity"
    values: tuple[float, ...] = ()
    comparator: Measure = "cosine"

    def apply(self, vectors: Floats) -> Floats:
        """The changed vectors (n, dim), in their dtype."""
        return OPERATORS[self.operator].apply(np.array(self.values, vectors.dtype), vectors)


@dataclass(frozen=True)
class Asked:
    """A query, with relations by number.

    via: the relation that sources are seen through, else their entity type.
    exclude: those whose training edges are no candidates. engaged: those whose targets make a source's mixture.
    """

    name: str
    source: str
    target: str
    via: str
    measure: Measure
    k: int
    method: Method
    parameters: Parameters
    exclude: tuple[int, ...] = ()
    engaged: tuple[int, ...] = ()
    sources: str | None = None
    targets: str | None = None
    recall: str | None = None

    def seen(self, vectors: Floats) -> Floats:
        """The sources' vectors (n, dim), float32, as the relation shows them and the measure compares them."""
        return measured(self.measure, self.parameters.apply(vectors))


@dataclass(frozen=True)
class Merged:
    """A blend: query names with their weights, in the config's order."""

    name: str
    weights: dict[str, float] = field(default_factory=dict)
    constant: float = 60.0
    k: int = 100


def measured(measure: Measure, vectors: Floats) -> Floats:
    """Vectors (n, dim) whose dot products are the measure, in fixed point: float32."""
    return (unit_vectors if measure == "cosine" else in_fixed_point)(vectors)


def condition(query: Asked, end: str) -> str:
    """The column that says whether an entity may be a source (a target) of the query."""
    return f"{end} {query.name}"
