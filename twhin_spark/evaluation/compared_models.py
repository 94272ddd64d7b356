"""The models that are measured on a relation: the trained one, popularity and ALS, in the settings of the config."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame

from twhin_spark.config import Config
from twhin_spark.config.sections import AlsConfig
from twhin_spark.evaluation.als import AlsSettings, fit_als
from twhin_spark.evaluation.comparison import ModelName, ModelSetting
from twhin_spark.evaluation.known_positives import KnownPositives, QuerySet
from twhin_spark.evaluation.scoring_models import ConstantVectors, PopularityVectors, ScoringModel, TrainedVectors
from twhin_spark.training.trained_run import TrainedRun


@dataclass(frozen=True)
class ComparedModels:
    """What the models are made of: a complete run, and its graph's training edges for the baselines.

    mirrored: whether buckets, known_positives and queries have the ends of every edge swapped.
    """

    config: Config
    run: TrainedRun
    buckets: DataFrame
    known_positives: KnownPositives
    mirrored: bool = False

    def for_relation(
        self, test: QuerySet, validation: QuerySet, progress: Callable[[str], None]
    ) -> dict[ModelName, list[ModelSetting]]:
        """The models of the relation that the queries are of; ALS is fitted here."""
        models: dict[ModelName, list[ModelSetting]] = {
            "twhin": [ModelSetting("as trained", self.trained(test.relation))],
            "popularity": [
                ModelSetting(
                    "number of edges",
                    ScoringModel(ConstantVectors(), PopularityVectors(self.known_positives, test.relation, "degree")),
                ),
                ModelSetting(
                    "weight of edges",
                    ScoringModel(ConstantVectors(), PopularityVectors(self.known_positives, test.relation, "weight")),
                ),
            ],
        }
        als = self.config.evaluation.als
        if als is not None and test.queries.connected.any():
            relation = self.run.graph.relations[test.relation]
            settings = _als_settings(als)
            if len(settings) > 1 and not len(validation.queries):
                progress(f"{relation}: no validation query to tune ALS on, so it has {_label(settings[0])}")
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
            models["als"] = [ModelSetting(_label(one), fit) for one, fit in zip(settings, fits, strict=True)]
        return models

    def trained(self, number: int) -> ScoringModel:
        """The run's model of a relation, by number, which ranks its targets; mirrored, its sources."""
        name = self.run.graph.relations[number]
        relation = self.config.relations[name]
        parameters = self.run.manifest.relations[name].parameters

        def vectors(kind: str, by: str | None = None) -> TrainedVectors:
            """As they are, or changed by the relation's operator with one of its parameter vectors."""
            files, types = self.run.manifest.partitions, self.config.entity_types
            operator, values = ("identity", []) if by is None else (relation.operator, parameters[by])
            return TrainedVectors(
                self.run.folder, files, types, kind, operator, values, self.config.training.comparator
            )

        if not self.mirrored:
            return ScoringModel(vectors(relation.source, "target"), vectors(relation.target))
        if relation.two_sided:
            return ScoringModel(vectors(relation.target, "source"), vectors(relation.source))
        return ScoringModel(vectors(relation.target), vectors(relation.source, "target"))


def _als_settings(als: AlsConfig) -> list[AlsSettings]:
    values = itertools.product(als.regularization, als.alpha)
    return [AlsSettings(als.rank, als.iterations, *one) for one in values]


def _label(als: AlsSettings) -> str:
    return f"regularization {als.regularization:g}, alpha {als.alpha:g}"
