"""What a score means in a family: its measure, and the types of its ends. Batch, SQL and the service all ask here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twhin_spark.config.serving import Score
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES, Scores
from twhin_spark.representations.errors import QuestionError, one_of
from twhin_spark.representations.store_manifest import Kind, Relation

MEASURES: Mapping[Kind, Mapping[str, Callable[[Any, Any], Scores]]] = {
    "dense": DENSE_MEASURES,
    "sparse": SPARSE_MEASURES,
}


def default_measure(relation: Relation | None) -> str:
    """What answers a question that names no measure: the comparator of its relation, without one cosine."""
    return relation.comparator if relation else "cosine"


def measure_name(score: Score, kind: Kind, relation: Relation | None) -> str:
    """The score's measure in a family of that kind; raises QuestionError where there is no such measure."""
    name = score.measure or default_measure(relation)
    if name not in MEASURES[kind]:
        raise QuestionError(f"unknown measure '{name}' for a {kind} family; allowed: {one_of(MEASURES[kind])}")
    return name


def wrong_end(relation: str, end: str, found: str, allowed: str) -> str:
    """The line that says that an end of a relation has another type than the relation allows."""
    return f"relation '{relation}': found a {end} of type '{found}'; allowed: {allowed}"
