"""The Representation Scorer: similarity scores of entities. The formulas are in `kernels.pair_scores`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from twhin_spark.config.serving import Score
from twhin_spark.kernels.pair_scores import Scores, Sparse, apply_relation, weighted_sum
from twhin_spark.representations.errors import RequestError
from twhin_spark.representations.similarity_measures import MEASURES, end_type_error, resolve_measure
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.serving.id_index import NOT_FOUND
from twhin_spark.serving.shared_communities import share_numbers
from twhin_spark.serving.store import RepresentationStore
from twhin_spark.serving.stored_version import Entity, GatheredRows, StoredVersion


class Scorer:
    """Computes the scores of one request, all of them from one version of each family.

    A score is float64, and NaN if an entity has no representation.

    Attributes
    ----------
    model_versions
        The model version by family, for the families that were used so far.
    """

    def __init__(self, store: RepresentationStore, versions: Mapping[str, str] | None = None) -> None:
        self.model_versions: dict[str, str] = {}
        self._store = store
        self._requested = versions or {}

    def version(self, family: str) -> StoredVersion:
        """Return the requested version of a family, the current one by default."""
        version = self._store.version(self._requested.get(family, CURRENT), family=family)
        self.model_versions[family] = version.name
        return version

    def pairs(self, score: Score, sources: Sequence[Entity], targets: Sequence[Entity]) -> Scores:
        """Return the score of each source with its target (n,). A single source is paired with every target."""
        x, y = self._gather(score, sources, targets)
        x_position = np.broadcast_to(x.position, y.position.shape)
        complete = (x_position != NOT_FOUND) & (y.position != NOT_FOUND)
        scores = np.full(len(targets), np.nan)
        measure = _measure(self.version(score.family), score)
        scores[complete] = measure(x.matrix[x_position[complete]], y.matrix[y.position[complete]])
        return scores

    def table(self, score: Score, sources: Sequence[Entity], targets: Sequence[Entity]) -> Scores:
        """Return the scores of all sources with all targets (sources, targets)."""
        x, y = self._gather(score, sources, targets)
        stored = y.position != NOT_FOUND
        candidates = y.matrix[y.position[stored]]
        measure = _measure(self.version(score.family), score)
        scores = np.full((len(sources), len(targets)), np.nan)
        for i, position in enumerate(x.position.tolist()):
            if position != NOT_FOUND:
                scores[i, stored] = measure(x.matrix[[position]], candidates)
        return scores

    def weighted(
        self, scores: Sequence[Score], sources: Sequence[Entity], targets: Sequence[Entity]
    ) -> tuple[Scores, list[Scores]]:
        """Return the weighted sum of one or more scores of each pair (n,), and the scores before their weights."""
        parts = [self.pairs(score, sources, targets) for score in scores]
        return weighted_sum(parts, [score.weight for score in scores]), parts

    def _gather(
        self, score: Score, sources: Sequence[Entity], targets: Sequence[Entity]
    ) -> tuple[GatheredRows, GatheredRows]:
        """Return the representations of sources and targets, which have the same columns."""
        version, other = self.version(score.family), self.version(score.target_family or score.family)
        check_comparable(version, other)
        x, y = self._sources(version, score, sources, targets), other.gather(targets)
        if version.manifest.kind == "dense":
            return x, y
        left, right = share_numbers(version, cast(Sparse, x.matrix), other, cast(Sparse, y.matrix))
        return GatheredRows(x.position, left), GatheredRows(y.position, right)

    def _sources(
        self, version: StoredVersion, score: Score, sources: Sequence[Entity], targets: Sequence[Entity]
    ) -> GatheredRows:
        """Return the sources' representations after the operator of the score's relation."""
        gathered = version.gather(sources)
        if score.relation is None:
            return gathered
        relation = version.relation(score.relation)
        for end, entities, required in (
            ("source", sources, relation.source_type),
            ("target", targets, relation.target_type),
        ):
            if wrong := next((entity for entity in entities if entity[0] != required), None):
                raise RequestError(end_type_error(relation.relation, end, wrong[0], required))
        matrix = apply_relation(relation.operator, np.array(relation.parameters), np.asarray(gathered.matrix))
        return GatheredRows(gathered.position, matrix)


def check_comparable(source: StoredVersion, target: StoredVersion) -> None:
    """Raise RequestError if representations of the two versions cannot be compared."""
    names = f"families '{source.manifest.family}' and '{target.manifest.family}'"
    kinds = source.manifest.kind, target.manifest.kind
    if kinds[0] != kinds[1]:
        raise RequestError(f"{names} are {kinds[0]} and {kinds[1]}; both must be of one kind")
    if kinds[0] == "dense" and source.manifest.dim != target.manifest.dim:
        dims = f"{source.manifest.dim} and {target.manifest.dim}"
        raise RequestError(f"{names} have vectors of {dims} numbers; both must have the same length")


def _measure(version: StoredVersion, score: Score) -> Callable[[Any, Any], Scores]:
    kind, relation = version.manifest.kind, version.relation(score.relation) if score.relation else None
    return MEASURES[kind][resolve_measure(score, kind, relation)]
