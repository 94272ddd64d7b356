"""The Representation Scorer: similarity scores of entities. The formulas are in `kernels.pair_scores`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from twhin_spark.config.serving import Score
from twhin_spark.kernels.pair_scores import Scores, apply_relation, weighted_sum
from twhin_spark.representations.errors import RequestError
from twhin_spark.representations.similarity_measures import MEASURES, end_type_error, resolve_measure
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.serving.id_index import NOT_FOUND
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
        version = self.version(score.family)
        x, y = self._sources(version, score, sources, targets), version.gather(targets)
        x_position = np.broadcast_to(x.position, y.position.shape)
        complete = (x_position != NOT_FOUND) & (y.position != NOT_FOUND)
        scores = np.full(len(targets), np.nan)
        scores[complete] = _measure(version, score)(x.matrix[x_position[complete]], y.matrix[y.position[complete]])
        return scores

    def table(self, score: Score, sources: Sequence[Entity], targets: Sequence[Entity]) -> Scores:
        """Return the scores of all sources with all targets (sources, targets)."""
        version = self.version(score.family)
        x, y = self._sources(version, score, sources, targets), version.gather(targets)
        stored = y.position != NOT_FOUND
        candidates = y.matrix[y.position[stored]]
        measure = _measure(version, score)
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


def _measure(version: StoredVersion, score: Score) -> Callable[[Any, Any], Scores]:
    kind, relation = version.manifest.kind, version.relation(score.relation) if score.relation else None
    return MEASURES[kind][resolve_measure(score, kind, relation)]
