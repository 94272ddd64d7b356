"""Models that are compared on a relation: the trained one, popularity and ALS, in the settings of the config."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pyspark.sql import DataFrame

from twhin_spark.config import Config
from twhin_spark.config.sections import AlsConfig
from twhin_spark.evaluation.als import AlsSettings, fit_als
from twhin_spark.evaluation.comparison import ModelName, ModelSetting
from twhin_spark.evaluation.current_model import CurrentModel
from twhin_spark.evaluation.known_positives import KnownPositives, QuerySet
from twhin_spark.evaluation.scoring_models import ConstantVectors, PopularityVectors, ScoringModel, TrainedVectors
from twhin_spark.training.trained_run import TrainedRun


@dataclass(frozen=True)
class ComparedModels:
    """A complete training run and its graph's training edges, from which the compared models are made.

    If `mirrored` is true, buckets, known positives and queries have the ends of every edge swapped. `current` is the
    current version, if it is compared, too.
    """

    config: Config
    run: TrainedRun
    buckets: DataFrame
    known_positives: KnownPositives
    mirrored: bool = False
    current: CurrentModel | None = None

    def for_relation(
        self, test: QuerySet, validation: QuerySet, progress: Callable[[str], None]
    ) -> dict[ModelName, list[ModelSetting]]:
        """Return the models of the queries' relation, each in one setting or more; fit ALS.

        ALS is left out if no source of the test queries has a training edge of the relation.
        """
        models: dict[ModelName, list[ModelSetting]] = {
            "twhin": [ModelSetting("as trained", self.trained(test.relation))],
            "popularity": [
                ModelSetting("number of edges", self._popularity(test.relation, "degree")),
                ModelSetting("weight of edges", self._popularity(test.relation, "weight")),
            ],
        }
        if self.current is not None:
            name = self.run.graph.relations[test.relation]
            current = self.current.for_relation(self.config, name, mirrored=self.mirrored)
            if current is not None:
                models["current"] = [ModelSetting("the current version", current)]
        als = self.config.evaluation.als
        if als is not None and test.queries.connected.any():
            relation = self.run.graph.relations[test.relation]
            settings = _als_settings(als)
            if len(settings) > 1 and not len(validation.queries):
                first = _label(settings[0])
                progress(f"{relation}: no validation query to tune ALS on, so its first setting is used: {first}")
                settings = settings[:1]
            progress(f"{relation}: fitting ALS of rank {settings[0].rank}")
            fits = fit_als(
                self.buckets,
                test.relation,
                settings,
                self.known_positives.scratch,
                partitions=self.run.graph.partitions,
                seed=self.config.training.seed,
            )
            models["als"] = [ModelSetting(_label(values), fit) for values, fit in zip(settings, fits, strict=True)]
        return models

    def trained(self, number: int) -> ScoringModel:
        """Return the run's model of a relation, by number, to rank its targets, or its sources if mirrored."""
        name = self.run.graph.relations[number]
        relation = self.config.relations[name]
        parameters = self.run.manifest.relations[name].parameters

        def vectors(entity_type: str, side: str | None = None) -> TrainedVectors:
            """Return a type's vectors, after the operator with the parameters of a side if one is given."""
            files, types = self.run.manifest.partitions, self.config.entity_types
            operator, values = ("identity", []) if side is None else (relation.operator, parameters[side])
            return TrainedVectors(
                self.run.folder, files, types, entity_type, operator, values, self.config.training.comparator
            )

        if not self.mirrored:
            return ScoringModel(vectors(relation.source, "target"), vectors(relation.target))
        if relation.two_sided:
            return ScoringModel(vectors(relation.target, "source"), vectors(relation.source))
        return ScoringModel(vectors(relation.target), vectors(relation.source, "target"))

    def _popularity(self, number: int, by: Literal["degree", "weight"]) -> ScoringModel:
        return ScoringModel(ConstantVectors(), PopularityVectors(self.known_positives, number, by))


def _als_settings(als: AlsConfig) -> list[AlsSettings]:
    pairs = itertools.product(als.regularization, als.alpha)
    return [AlsSettings(als.rank, als.iterations, regularization, alpha) for regularization, alpha in pairs]


def _label(als: AlsSettings) -> str:
    return f"regularization {als.regularization:g}, alpha {als.alpha:g}"
