"""Queries and blends with every default resolved. Used on driver and workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.topk import in_fixed_point, unit_vectors

if TYPE_CHECKING:  # workers have no pydantic
    from twhin_spark.config.base import Measure, SparseFamily
    from twhin_spark.config.retrieval import Method, QueryMeasure

LISTED = "listed in"
"""Column of entities with the communities in whose lists they are."""


@dataclass(frozen=True)
class RelationOperator:
    """The operator that a relation applies to sources, and its comparator. The default is plain similarity."""

    operator: str = "identity"
    parameters: tuple[float, ...] = ()
    comparator: Measure = "cosine"

    def apply(self, vectors: Floats) -> Floats:
        """Return the sources' vectors (n, dim) after the operator, in their dtype."""
        return OPERATORS[self.operator].apply(np.array(self.parameters, vectors.dtype), vectors)


@dataclass(frozen=True)
class ResolvedQuery:
    """A query of the config. Relations are numbers of the graph's relations.

    Attributes
    ----------
    name
        Name of the query.
    source, target
        Entity types of sources and candidates.
    via
        Kind of source: the relation whose operator is applied to sources, else their entity type.
    measure
        `dot`, `cosine` or, by communities, `log_cosine`.
    k
        Candidates for each source.
    method
        `exact`, `ann`, `mixture` or `communities`.
    operator
        Operator that is applied to sources.
    exclude
        Relations whose training edges are no candidates.
    engaged
        Relations whose training targets make a source's mixture.
    sources, targets
        Spark SQL conditions on the entities; None: all.
    recall
        Relation whose test edges the candidates are measured on.
    families
        Representations of sources and of targets by communities; empty for other methods.
    """

    name: str
    source: str
    target: str
    via: str
    measure: QueryMeasure
    k: int
    method: Method
    operator: RelationOperator
    exclude: tuple[int, ...] = ()
    engaged: tuple[int, ...] = ()
    sources: str | None = None
    targets: str | None = None
    recall: str | None = None
    families: tuple[SparseFamily, ...] = ()

    @property
    def ends(self) -> tuple[tuple[str, str, str | None], tuple[str, str, str | None]]:
        """Name, entity type and condition of each end."""
        return ("sources", self.source, self.sources), ("targets", self.target, self.targets)

    def source_vectors(self, vectors: Floats) -> Floats:
        """Return sources (n, dim), as published, after the operator and ready for the measure: float32 (n, dim)."""
        return comparable_vectors(self.measure, self.operator.apply(vectors))


@dataclass(frozen=True)
class ResolvedBlend:
    """A blend of the config. weights: by query, in the order of the config."""

    name: str
    weights: dict[str, float]
    constant: float
    k: int


def comparable_vectors(measure: QueryMeasure, vectors: Floats) -> Floats:
    """Return vectors (n, dim) whose dot products are the measure, in fixed point: float32 (n, dim)."""
    return (unit_vectors if measure == "cosine" else in_fixed_point)(vectors)


def condition_column(query: ResolvedQuery, end: str) -> str:
    """Return the column that is true for an entity that may be one of the query's `sources` (`targets`)."""
    return f"{end} {query.name}"


def entity_types(queries: Sequence[ResolvedQuery]) -> list[str]:
    """Return the sorted entity types of all sources and targets."""
    return sorted({entity_type for query in queries for entity_type in (query.source, query.target)})
