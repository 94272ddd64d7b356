"""Similarity measures by kind of family, and the rules for a score's measure and ends.

Batch, SQL and the service all use them, so that a score means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twhin_spark.config.serving import Score
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES, Scores
from twhin_spark.representations.errors import RequestError, one_of
from twhin_spark.representations.published_family import FamilyKind
from twhin_spark.representations.version_lookup import PublishedRelation

MEASURES: Mapping[FamilyKind, Mapping[str, Callable[[Any, Any], Scores]]] = {
    "dense": DENSE_MEASURES,
    "sparse": SPARSE_MEASURES,
}


def default_measure(relation: PublishedRelation | None) -> str:
    """Return the measure of a request that names none: the relation's comparator, or cosine without a relation."""
    return relation.comparator if relation else "cosine"


def resolve_measure(score: Score, kind: FamilyKind, relation: PublishedRelation | None) -> str:
    """Return the name of a score's measure. Raises RequestError if families of the kind have no such measure."""
    name = score.measure or default_measure(relation)
    if name not in MEASURES[kind]:
        raise RequestError(f"unknown measure '{name}' for a {kind} family; use {one_of(MEASURES[kind])}")
    return name


def end_type_error(relation: str, end: str, entity_type: str, required: str) -> str:
    """Return the message for a source or target of another type than the relation's."""
    return f"relation '{relation}' requires a {end} of type '{required}', not '{entity_type}'"
