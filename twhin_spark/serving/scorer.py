"""The Representation Scorer: how close entities are. The formulas stand in `kernels.scores`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from twhin_spark.config.serving import Score
from twhin_spark.kernels.pair_scores import Scores, through, weighted_sum
from twhin_spark.representations.catalogue import CURRENT
from twhin_spark.representations.errors import QuestionError
from twhin_spark.representations.similarity_measures import MEASURES, measure_name, wrong_end
from twhin_spark.serving.id_index import NOT_FOUND
from twhin_spark.serving.store import RepresentationStore
from twhin_spark.serving.stored_version import Entity, Gathered, StoredVersion


class Scorer:
    """Scores for one question. All its parts come from one version of each family, named in `model_versions`.

    A score is float64, and NaN where an entity has no representation.
    """

    def __init__(self, store: RepresentationStore, versions: Mapping[str, str] | None = None) -> None:
        self.model_versions: dict[str, str] = {}
        self._store = store
        self._asked = versions or {}

    def version(self, family: str) -> StoredVersion:
        version = self._store.version(self._asked.get(family, CURRENT), family=family)
        self.model_versions[family] = version.name
        return version

    def pairs(self, score: Score, sources: Sequence[Entity], targets: Sequence[Entity]) -> Scores:
        """The score of each source with its target (n,); a single source is paired with every target."""
        version = self.version(score.family)
        x, y = self._sources(version, score, sources, targets), version.gather(targets)
        x_place = np.broadcast_to(x.place, y.place.shape)
        known = (x_place != NOT_FOUND) & (y.place != NOT_FOUND)
        scores = np.full(len(targets), np.nan)
        scores[known] = _measure(version, score)(x.matrix[x_place[known]], y.matrix[y.place[known]])
        return scores

    def table(self, score: Score, sources: Sequence[Entity], targets: Sequence[Entity]) -> Scores:
        """The scores of all sources with all targets (sources, targets)."""
        version = self.version(score.family)
        x, y = self._sources(version, score, sources, targets), version.gather(targets)
        known = y.place != NOT_FOUND
        candidates = y.matrix[y.place[known]]
        measure = _measure(version, score)
        scores = np.full((len(sources), len(targets)), np.nan)
        for i, place in enumerate(x.place.tolist()):
            if place != NOT_FOUND:
                scores[i, known] = measure(x.matrix[[place]], candidates)
        return scores

    def weighted(
        self, scores: Sequence[Score], sources: Sequence[Entity], targets: Sequence[Entity]
    ) -> tuple[Scores, list[Scores]]:
        """The weighted sum of one or more scores of each pair (n,), and the scores themselves."""
        parts = [self.pairs(score, sources, targets) for score in scores]
        return weighted_sum(parts, [score.weight for score in scores]), parts

    def _sources(
        self, version: StoredVersion, score: Score, sources: Sequence[Entity], targets: Sequence[Entity]
    ) -> Gathered:
        """The sources as the score's relation shows them."""
        gathered = version.gather(sources)
        if score.relation is None:
            return gathered
        relation = version.relation(score.relation)
        for end, entities, expected in (
            ("source", sources, relation.source_type),
            ("target", targets, relation.target_type),
        ):
            if wrong := next((entity for entity in entities if entity[0] != expected), None):
                raise QuestionError(wrong_end(relation.relation, end, wrong[0], expected))
        seen = through(relation.operator, np.array(relation.parameters), np.asarray(gathered.matrix))
        return Gathered(gathered.place, seen)


def _measure(version: StoredVersion, score: Score) -> Callable[[Any, Any], Scores]:
    kind, relation = version.manifest.kind, version.relation(score.relation) if score.relation else None
    return MEASURES[kind][measure_name(score, kind, relation)]
