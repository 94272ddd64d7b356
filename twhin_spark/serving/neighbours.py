"""Neighbours: the entities of one type that are most similar to an entity or to a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.sparse import csr_array

from twhin_spark.kernels.pair_scores import Scores, Sparse, apply_relation
from twhin_spark.representations.errors import NotServedError, RequestError, one_of
from twhin_spark.representations.similarity_measures import default_measure, end_type_error
from twhin_spark.serving.dense import DenseRows
from twhin_spark.serving.exact_neighbours import ExactNeighbours, NeighbourIndex, SparseNeighbours
from twhin_spark.serving.id_index import NOT_FOUND
from twhin_spark.serving.scorer import check_comparable
from twhin_spark.serving.shared_communities import share_numbers
from twhin_spark.serving.stored_version import Entity, StoredVersion

NEIGHBOUR_MEASURES = ("cosine", "dot")

IndexLookup = Callable[[StoredVersion, str, str, str], NeighbourIndex]
"""Function of a version, the type of the neighbours, a measure and the kind of source that returns an index. The kind
of source is the name of the relation that is applied to it or, for plain similarity, its entity type."""


@dataclass(frozen=True)
class NeighbourQuery:
    """A query for the neighbours of an entity or of a vector. Exactly one of the two is given.

    Attributes
    ----------
    entity
        Entity whose neighbours are searched.
    vector
        Vector whose neighbours are searched, of the version's dimension.
    target_type
        Type of the neighbours; None: the relation's target type, or else the entity's own type.
    relation
        Relation that leads from the entity to its neighbours; None: plain similarity.
    measure
        `cosine` or `dot`; None: the relation's comparator, or else cosine.
    k
        Number of neighbours.
    exact
        Score every entity, even if there is an approximate index.
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
    """An entity with its score, and its degree if the table has one."""

    entity: Entity
    score: float
    degree: int | None


@dataclass(frozen=True)
class NeighbourList:
    """The neighbours of a query, highest score first, and the query's resolved defaults."""

    target_type: str
    measure: str
    method: str
    neighbours: list[Neighbour]


def exact_index(version: StoredVersion, entity_type: str, _measure: str, _source_kind: str) -> NeighbourIndex:
    """Return the index that scores every representation. It needs only the store."""
    rows = version.type(entity_type).rows
    return ExactNeighbours(rows) if isinstance(rows, DenseRows) else SparseNeighbours(rows)


def find_neighbours(
    version: StoredVersion,
    query: NeighbourQuery,
    deadline: float,
    index_lookup: IndexLookup = exact_index,
    *,
    of: StoredVersion | None = None,
) -> NeighbourList:
    """Return the query's neighbours. An entity is never a neighbour of itself.

    Parameters
    ----------
    version
        Version that the entity is read from.
    query
        The query.
    deadline
        Time of `time.monotonic` at which the search gives up.
    index_lookup
        Function that returns the index to search.
    of
        Version of another family of the same kind that the neighbours are read from; None: `version`.

    Raises
    ------
    RequestError
        The query is invalid in this version.
    NotServedError
        The entity has no representation.
    TimeoutError
        The deadline has passed.
    """
    measure = query.measure or default_measure(version.relation(query.relation) if query.relation else None)
    if measure not in NEIGHBOUR_MEASURES:
        raise RequestError(f"unknown measure '{measure}' for neighbours; use {one_of(NEIGHBOUR_MEASURES)}")
    of = of or version
    check_comparable(version, of)
    target_type = _target_type(version, query)
    source_kind = query.relation or (query.entity[0] if query.entity else target_type)
    index = (exact_index if query.exact else index_lookup)(of, target_type, measure, source_kind)
    own_row = of.row(query.entity) if query.entity and query.entity[0] == target_type else NOT_FOUND
    vector = _query_weights(version, of, query) if version.manifest.kind == "sparse" else _query_vector(version, query)
    rows, scores = index.search(vector, query.k + (own_row != NOT_FOUND), measure, deadline)
    others = rows != own_row
    targets = of.types[target_type]
    return NeighbourList(
        target_type,
        measure,
        index.method,
        [
            Neighbour((target_type, targets.index.ids[row]), score, targets.degree(row))
            for row, score in zip(rows[others][: query.k].tolist(), scores[others][: query.k].tolist(), strict=True)
        ],
    )


def _target_type(version: StoredVersion, query: NeighbourQuery) -> str:
    """Return the type of the neighbours. Raises RequestError if the query's types contradict each other."""
    if query.relation is None:
        if query.target_type is None and query.entity is None:
            raise RequestError(f"a query by vector requires target_type, {one_of(version.types)}")
        return query.target_type or (query.entity or ("",))[0]
    relation = version.relation(query.relation)
    if query.entity and query.entity[0] != relation.source_type:
        raise RequestError(end_type_error(query.relation, "source", query.entity[0], relation.source_type))
    if query.target_type not in (None, relation.target_type):
        raise RequestError(end_type_error(query.relation, "target", str(query.target_type), relation.target_type))
    return relation.target_type


def _query_weights(version: StoredVersion, of: StoredVersion, query: NeighbourQuery) -> Scores:
    """Return the entity's weights by the communities' numbers in another version: float64 (communities,)."""
    if query.entity is None:
        raise RequestError(f"family '{version.manifest.family}' is sparse, so its queries require an entity")
    gathered = version.gather([query.entity])
    if gathered.position[0] == NOT_FOUND:
        entity_type, entity_id = query.entity
        raise NotServedError(f"{entity_type} '{entity_id}' has no representation in version {version.name}")
    empty = csr_array((0, len(of.communities)), dtype=np.float64)
    _, weights = share_numbers(of, empty, version, cast(Sparse, gathered.matrix))
    dense: Scores = weights.toarray().ravel()[: len(of.communities)]
    return dense


def _query_vector(version: StoredVersion, query: NeighbourQuery) -> Scores:
    """Return the vector to compare entities with, after the relation's operator: float64 (dim,)."""
    if query.entity is not None:
        representation = version.get(*query.entity)
        if representation is None:
            entity_type, entity_id = query.entity
            raise NotServedError(f"{entity_type} '{entity_id}' has no representation in version {version.name}")
        vector = np.asarray(representation, np.float64)
    else:
        vector = np.asarray(query.vector, np.float64)
        if vector.shape != (version.manifest.dim,):
            required = f"version {version.name} requires {version.manifest.dim}"
            raise RequestError(f"vector has {vector.size} numbers; {required}")
    if query.relation is None:
        return vector
    relation = version.relation(query.relation)
    return apply_relation(relation.operator, np.array(relation.parameters), vector[None]).ravel()
