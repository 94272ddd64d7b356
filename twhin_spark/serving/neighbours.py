"""Neighbours: the entities of one type that are closest to an entity or to a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.pair_scores import Scores, through
from twhin_spark.representations.errors import NotServedError, QuestionError, one_of
from twhin_spark.representations.similarity_measures import default_measure
from twhin_spark.serving.dense import DenseRows
from twhin_spark.serving.exact_neighbours import ExactNeighbours, NeighbourIndex
from twhin_spark.serving.id_index import NOT_FOUND
from twhin_spark.serving.stored_version import Entity, StoredVersion

MEASURES = ("cosine", "dot")

IndexOf = Callable[[StoredVersion, str, str, str], NeighbourIndex]
"""What finds neighbours among a version's entities of one type, by a measure, of sources that are seen through a
relation or, plain, are of an entity type."""


@dataclass(frozen=True)
class Query:
    """What neighbours are asked for: those of an entity, or those of a vector of the version's dimension.

    target_type: None is the relation's, else the entity's own. relation: the one that leads from the entity to its
    neighbours, None for plain similarity. measure: cosine or dot; None is the relation's comparator, else cosine.
    exact: score every entity, whatever index there is.
    """

    entity: Entity | None = None
    vector: Sequence[float] | None = None
    target_type: str | None = None
    relation: str | None = None
    measure: str | None = None
    k: int = 10
    exact: bool = False


@dataclass(frozen=True)
class Neighbour:
    entity: Entity
    score: float
    degree: int | None


@dataclass(frozen=True)
class Neighbours:
    """What a query came to mean, and the neighbours, highest score first."""

    target_type: str
    measure: str
    method: str
    neighbours: list[Neighbour]


def exact_index(version: StoredVersion, entity_type: str, _measure: str, _via: str) -> ExactNeighbours:
    """Scores every vector; needs nothing that the store does not have."""
    rows = version.type(entity_type).rows
    if not isinstance(rows, DenseRows):
        raise QuestionError(f"family '{version.manifest.family}' is sparse; neighbours are found in dense families")
    return ExactNeighbours(rows)


def find_neighbours(
    version: StoredVersion, query: Query, deadline: float, index_of: IndexOf = exact_index
) -> Neighbours:
    """The query's neighbours; an entity is never its own. Raises TimeoutError after deadline (`time.monotonic`).

    Raises QuestionError for a query that makes no sense in this version, NotServedError for an unknown entity.
    """
    measure = query.measure or default_measure(version.relation(query.relation) if query.relation else None)
    if measure not in MEASURES:
        raise QuestionError(f"unknown measure '{measure}' for neighbours; allowed: {one_of(MEASURES)}")
    target_type = _target_type(version, query)
    via = query.relation or (query.entity[0] if query.entity else target_type)
    index = (exact_index if query.exact else index_of)(version, target_type, measure, via)
    own = version.row(query.entity) if query.entity and query.entity[0] == target_type else NOT_FOUND
    rows, scores = index.search(_vector(version, query), query.k + (own != NOT_FOUND), measure, deadline)
    others = rows != own
    targets = version.types[target_type]
    return Neighbours(
        target_type,
        measure,
        index.method,
        [
            Neighbour((target_type, targets.index.ids[row]), score, targets.degree(row))
            for row, score in zip(rows[others][: query.k].tolist(), scores[others][: query.k].tolist(), strict=True)
        ],
    )


def _target_type(version: StoredVersion, query: Query) -> str:
    """The type of the neighbours, after a check that all that names a type agrees."""
    if query.relation is None:
        if query.target_type is None and query.entity is None:
            raise QuestionError(f"target_type: found nothing beside a vector; allowed: {one_of(version.types)}")
        return query.target_type or (query.entity or ("",))[0]
    relation = version.relation(query.relation)
    if query.entity and query.entity[0] != relation.source_type:
        found = f"found an entity of type '{query.entity[0]}'"
        raise QuestionError(f"relation '{query.relation}': {found}; allowed: {relation.source_type}")
    if query.target_type not in (None, relation.target_type):
        found = f"found target_type '{query.target_type}'"
        raise QuestionError(f"relation '{query.relation}': {found}; allowed: {relation.target_type}")
    return relation.target_type


def _vector(version: StoredVersion, query: Query) -> Scores:
    """The vector that the neighbours are close to, as the relation shows it: float64 (dim,)."""
    if query.entity is not None:
        given = version.get(*query.entity)
        if given is None:
            kind, name = query.entity
            raise NotServedError(f"{kind} '{name}' has no representation in version {version.name}")
        vector = np.asarray(given, np.float64)
    else:
        vector = np.asarray(query.vector, np.float64)
        if vector.shape != (version.manifest.dim,):
            allowed = f"{version.manifest.dim}, the dimension of version {version.name}"
            raise QuestionError(f"vector: found {vector.size} numbers; allowed: {allowed}")
    if query.relation is None:
        return vector
    relation = version.relation(query.relation)
    return through(relation.operator, np.array(relation.parameters), vector[None]).ravel()
