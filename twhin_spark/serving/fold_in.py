"""A vector for one new entity, from its edges to entities of a version. Nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.neighbour_vectors import SeenThrough, mean_of_neighbours
from twhin_spark.representations.errors import RequestError
from twhin_spark.representations.version_lookup import PublishedRelation
from twhin_spark.serving.id_index import NOT_FOUND
from twhin_spark.serving.stored_version import Entity, StoredVersion

Side: TypeAlias = Literal["source", "target"]


@dataclass(frozen=True)
class NewEdge:
    """An edge of a new entity: relation, known entity at the other end, weight, and the end at which the new one is.

    side: None, if the types of the relation's ends tell it.
    """

    relation: str
    entity: Entity
    weight: float = 1.0
    side: Side | None = None


def fold_in(version: StoredVersion, entity_type: str, edges: Sequence[NewEdge]) -> tuple[Floats | None, int]:
    """Return the mean of the known neighbours' vectors, seen through the relations, and their number.

    It is what `twhin-spark fold-in --fast` stores, for relations with one direction. The vector is None if no neighbour
    is known.

    Raises
    ------
    RequestError
        The family has no vectors, or an edge's relation is unknown or does not join these types.
    """
    if version.manifest.kind != "dense":
        raise RequestError("fold-in requires a family of vectors, not of weights by community")
    seen: list[Floats] = []
    weights: list[float] = []
    for edge in edges:
        relation = version.relation(edge.relation)
        side = _side(relation, entity_type, edge)
        gathered = version.gather([edge.entity])
        if gathered.position[0] == NOT_FOUND:
            continue
        parameters = np.array(relation.parameters, np.float32)
        view = SeenThrough(relation.operator, parameters, transposed=side == "source")
        seen.append(view(np.asarray(gathered.matrix))[0])
        weights.append(edge.weight)
    if not seen:
        return None, 0
    numbers = np.zeros(len(seen), np.int64)
    _, means = mean_of_neighbours(numbers, np.array(weights, np.float32), np.array(seen))
    mean: Floats = means[0]
    return mean, len(seen)


def _side(relation: PublishedRelation, entity_type: str, edge: NewEdge) -> Side:
    """Return the end of the relation at which the new entity is."""
    other = edge.entity[0]
    ends: dict[Side, tuple[str, str]] = {
        "source": (relation.source_type, relation.target_type),
        "target": (relation.target_type, relation.source_type),
    }
    fitting: list[Side] = [side for side, types in ends.items() if types == (entity_type, other)]
    if edge.side is not None:
        fitting = [side for side in fitting if side == edge.side]
    if not fitting:
        raise RequestError(
            f"relation '{relation.relation}' leads from {relation.source_type} to {relation.target_type}, so it cannot "
            f"join a new {entity_type} with {other} '{edge.entity[1]}'"
        )
    return fitting[0]
