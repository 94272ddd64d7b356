"""Evaluation: held-out edges → queries → ranks of each model → metrics, and a report of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from twhin_spark.config import Config
from twhin_spark.evaluation.compared_models import ComparedModels
from twhin_spark.evaluation.comparison import Comparison, ModelName, rank_test_queries, tune_models
from twhin_spark.evaluation.held_out_edges import Split, read_held_out_edges
from twhin_spark.evaluation.known_positives import KnownPositives, QuerySet, mirror_buckets, write_known_positives
from twhin_spark.evaluation.metrics import Metric, Totals, macro, metrics_of, micro, totals_of
from twhin_spark.evaluation.queries import HeldOutEdges, queries_of
from twhin_spark.evaluation.ranking import Ranks, concatenate_ranks, rank_queries
from twhin_spark.evaluation.report import write_report
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.kernels.arrays import Integers
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, EDGES, ENTITIES, METRICS, ddl
from twhin_spark.training.trained_run import TrainedRun


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    metrics: rows of relation, average, model, metric, value, low, high, queries.
    report: path or URI of the HTML file.
    cold_share: by relation, of the new test edges the share that is not asked for, as an end is not in training.
    """

    metrics: list[dict[str, Any]]
    cold_share: dict[str, float]
    report: str


def evaluate(spark: SparkSession, config: Config, run: TrainedRun, progress: Callable[[str], None]) -> Evaluation:
    """Measures a complete run and its baselines on the test split; writes `metrics` and the report.

    A second evaluation of the same run replaces the first.
    """
    store = TableStore(spark, config.output)
    edges = store.read(EDGES, run.graph.tables["edges"])
    entities = store.read(ENTITIES, run.graph.tables["entities"])
    held = read_held_out_edges(edges, entities, run.graph.relations)
    shares = {name: held[name, "test"].cold_share for name in run.graph.relations}
    cold_share = {name: share for name, share in shares.items() if share is not None}

    scratch = Scratch(f"{run.folder.location}/scratch")
    scratch.remove()  # what a killed evaluation may have left
    try:
        metrics = _Measurement(store, config, run, scratch, progress).measure(held)
    finally:
        scratch.remove()
    rows = [(run.run_id, *row.values(), cold_share.get(row["relation"])) for row in metrics]
    store.overwrite(METRICS, spark.createDataFrame(rows, ddl(METRICS)), where=f"run_id = '{run.run_id}'")
    return Evaluation(metrics, cold_share, write_report(store, config, run, metrics, cold_share))


@dataclass(frozen=True)
class _Measurement:
    store: TableStore
    config: Config
    run: TrainedRun
    scratch: Scratch
    progress: Callable[[str], None]

    def measure(self, held: Mapping[tuple[str, Split], HeldOutEdges]) -> list[dict[str, Any]]:
        """The rows of Evaluation.metrics, relation by relation, then over all; of both sides, if they are asked for."""
        answers = [self._answer(held, mirrored=False)]
        if self.config.evaluation.sides == "both":
            answers.append(self._answer({key: edges.mirrored for key, edges in held.items()}, mirrored=True))
        metrics: list[dict[str, Any]] = []
        totals: dict[ModelName, list[Totals]] = {}
        for name, first in answers[0].items():
            sides = [first, *(side[name] for side in answers[1:])]
            asker = _numbered([side.asker for side in sides])
            values = {}
            for model in first.ranks:
                sums = totals_of(concatenate_ranks([side.ranks[model] for side in sides]), asker)
                found = metrics_of(sums)
                metrics += _rows(found, model, relation=name)
                totals.setdefault(model, []).append(sums)
                values[model] = found[0].value
            cold = held[name, "test"].cold_share
            assert cold is not None  # there are queries
            told = ", ".join(f"{model} {value:.4f}" for model, value in values.items())
            self.progress(
                f"{name}: test MRR {told}, of {len(asker):,} queries; {cold:.1%} of the new test edges are cold: an "
                "end is not in training"
            )
        for average, over in {"micro": micro, "macro": macro}.items():
            for model, relations in totals.items():
                metrics += _rows(over(relations), model, average=average)
        return metrics

    def _answer(self, held: Mapping[tuple[str, Split], HeldOutEdges], *, mirrored: bool) -> dict[str, _Answers]:
        """What the models answer to the test queries of each relation that has any."""
        graph = self.run.graph
        asked = self._asked(held)
        if not asked:
            return {}
        known_positives = KnownPositives(self.scratch.folder("mirrored") if mirrored else self.scratch)
        buckets = self.store.read(EDGE_BUCKETS, graph.tables["edge_buckets"])
        if mirrored:
            buckets = mirror_buckets(buckets)
        relations = [self.config.relations[name] for name in graph.relations]
        targets = write_known_positives(
            self.store.read(ENTITIES, graph.tables["entities"]),
            buckets,
            known_positives,
            [relation.source if mirrored else relation.target for relation in relations],
            [queries for pair in asked.values() for queries in pair],
        )
        models = ComparedModels(self.config, self.run, buckets, known_positives, mirrored)
        with_als = self.config.evaluation.als is not None
        comparisons = [
            Comparison(name, test, validation, models.for_relation(test, validation, self.progress), with_als)
            for name, (test, validation) in asked.items()
        ]
        rank_here = partial(
            rank_queries, self.store.spark, known_positives, partitions=graph.partitions, target_partitions=targets
        )
        comparisons = tune_models(comparisons, rank_here, self.progress)
        return {
            comparison.relation: _Answers(comparison.test.queries.source, ranks)
            for comparison, ranks in zip(comparisons, rank_test_queries(comparisons, rank_here), strict=True)
        }

    def _asked(self, held: Mapping[tuple[str, Split], HeldOutEdges]) -> dict[str, tuple[QuerySet, QuerySet]]:
        """The test and validation queries of every relation that has test queries."""
        asked = {}
        for number, name in enumerate(self.run.graph.relations):
            test, validation = held[name, "test"], held[name, "validation"]
            queries = queries_of(test, validation)
            if len(queries):
                relation = self.config.relations[name]
                excludes_source = relation.source == relation.target and self.config.graph.self_loops == "drop"
                asked[name] = (
                    QuerySet(f"test-{number}", number, queries, excludes_source),
                    QuerySet(f"tune-{number}", number, queries_of(validation, test), excludes_source),
                )
            else:
                self.progress(f"{name}: no new test edge with both ends in training, so no metrics")
        return asked


@dataclass(frozen=True)
class _Answers:
    """asker: (m,), numbers of the queries' sources from 0. ranks: of their answers, by model."""

    asker: Integers
    ranks: Mapping[ModelName, Ranks]


def _rows(
    metrics: Sequence[Metric], model: ModelName, *, relation: str | None = None, average: str | None = None
) -> list[dict[str, Any]]:
    return [{"relation": relation, "average": average, "model": model, **asdict(metric)} for metric in metrics]


def _numbered(askers: Sequence[Integers]) -> Integers:
    """The numbers of several sets of sources, those of a set after those of the sets before."""
    first = np.cumsum([0, *(asker.max() + 1 for asker in askers[:-1])])
    return np.concatenate([asker + begin for asker, begin in zip(askers, first, strict=True)])
