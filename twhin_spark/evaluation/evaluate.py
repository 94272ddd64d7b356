"""Evaluation: held-out edges → queries → ranks of each model → metrics, and a report of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from twhin_spark.config import Config
from twhin_spark.evaluation.comparison import ModelName
from twhin_spark.evaluation.held_out_edges import HeldOutSplits, read_held_out_edges
from twhin_spark.evaluation.metrics import Metric, Totals, macro, metrics_of, micro, totals_of
from twhin_spark.evaluation.queries import queries_of
from twhin_spark.evaluation.ranking import Ranks, concatenate_ranks
from twhin_spark.evaluation.relation_progress import MANY_RELATIONS, RelationProgress
from twhin_spark.evaluation.relation_ranking import RelationRanking
from twhin_spark.evaluation.report import write_report
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.kernels.arrays import Integers
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES, METRICS, ddl
from twhin_spark.training.trained_run import TrainedRun


@dataclass(frozen=True)
class Evaluation:
    """The measured metrics, and the report.

    Parameters
    ----------
    metrics
        Rows of relation, average, model, metric, value, low, high, queries.
    cold_share
        By relation, the share of the new test edges that are cold; cold edges are no queries.
    report
        Path or URI of the HTML file.
    """

    metrics: list[dict[str, Any]]
    cold_share: dict[str, float]
    report: str


def evaluate(spark: SparkSession, config: Config, run: TrainedRun, progress: Callable[[str], None]) -> Evaluation:
    """Measure a complete run and its baselines on the test split; write the table `metrics` and the report.

    A second evaluation of the same run replaces the rows and the report of the first.
    """
    store = TableStore(spark, config.output)
    edges = store.read(EDGES, run.graph.tables["edges"])
    entities = store.read(ENTITIES, run.graph.tables["entities"])
    held_out = read_held_out_edges(edges, entities, run.graph.relations)
    shares = {name: held_out[name, "test"].cold_share for name in run.graph.relations}
    cold_share = {name: share for name, share in shares.items() if share is not None}

    scratch = Scratch(f"{run.folder.location}/scratch")
    scratch.remove()  # A killed evaluation may have left files.
    try:
        of_relations = RelationProgress(progress, len(run.graph.relations))
        metrics = _measure(RelationRanking(store, config, run, scratch, of_relations), held_out, progress)
    finally:
        scratch.remove()
    rows = [(run.run_id, *row.values(), cold_share.get(row["relation"])) for row in metrics]
    store.overwrite(METRICS, spark.createDataFrame(rows, ddl(METRICS)), where=f"run_id = '{run.run_id}'")
    return Evaluation(metrics, cold_share, write_report(store, config, run, metrics, cold_share))


def _measure(
    ranking: RelationRanking, held_out: HeldOutSplits, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return the rows of `Evaluation.metrics`: each relation, then the averages over relations.

    If `evaluation.sides` is `both`, a relation's queries are those for its targets and those for its sources.
    """
    names = ranking.run.graph.relations
    without = [name for name in names if not len(queries_of(held_out[name, "test"]))]
    if len(without) > MANY_RELATIONS:
        progress(f"{len(without):,} of {len(names):,} relations have no new test edge with both ends in training")
    sides = [_rank(ranking, held_out, mirrored=False)]
    if ranking.config.evaluation.sides == "both":
        mirrored = {key: edges.mirrored for key, edges in held_out.items()}
        sides.append(_rank(ranking, mirrored, mirrored=True))
    metrics: list[dict[str, Any]] = []
    totals: dict[ModelName, list[Totals]] = {}
    for name in sides[0]:
        parts = [side[name] for side in sides]
        source = _numbered([part.source for part in parts])
        mrr_of = {}
        for model in parts[0].ranks:
            sums = totals_of(concatenate_ranks([part.ranks[model] for part in parts]), source)
            measured = metrics_of(sums)
            metrics += _rows(measured, model, relation=name)
            totals.setdefault(model, []).append(sums)
            mrr_of[model] = measured[0].value
        cold = held_out[name, "test"].cold_share
        assert cold is not None  # There are queries, so there are test edges.
        values = ", ".join(f"{model} {value:.4f}" for model, value in mrr_of.items())
        ranking.progress(
            f"{name}: test MRR {values}, of {len(source):,} queries; {cold:.1%} of the new test edges are cold "
            "(an end has no training edge)"
        )
    for average, over in {"micro": micro, "macro": macro}.items():
        means = {model: over(of_relations) for model, of_relations in totals.items()}
        for model, mean in means.items():
            metrics += _rows(mean, model, average=average)
        if len(sides[0]) > MANY_RELATIONS:
            values = ", ".join(f"{model} {mean[0].value:.4f}" for model, mean in means.items())
            progress(f"{len(sides[0]):,} relations, {average} average: test MRR {values}")
    return metrics


def _rank(ranking: RelationRanking, held_out: HeldOutSplits, *, mirrored: bool) -> dict[str, _TestRanks]:
    """Rank the test queries' positives of each relation that has test queries."""
    query_sets = {}
    for name in ranking.run.graph.relations:
        test, validation = held_out[name, "test"], held_out[name, "validation"]
        queries = queries_of(test, validation)
        if len(queries):
            query_sets[name] = ranking.query_sets(name, queries, queries_of(validation, test))
        else:
            ranking.progress(f"{name}: no new test edge with both ends in training, so no metrics")
    ranks = ranking.rank(query_sets, mirrored=mirrored)
    return {name: _TestRanks(test.queries.source, ranks[name]) for name, (test, _) in query_sets.items()}


@dataclass(frozen=True)
class _TestRanks:
    """The ranks of one relation's test queries (m,), by model; source: the numbers from 0 of their sources, (m,)."""

    source: Integers
    ranks: Mapping[ModelName, Ranks]


def _rows(
    metrics: Sequence[Metric], model: ModelName, *, relation: str | None = None, average: str | None = None
) -> list[dict[str, Any]]:
    return [{"relation": relation, "average": average, "model": model, **asdict(metric)} for metric in metrics]


def _numbered(parts: Sequence[Integers]) -> Integers:
    """Join source numbers so that no two parts share one: 0, 1, 1 and 0, 2 become 0, 1, 1, 2, 4."""
    first = np.cumsum([0, *(part.max() + 1 for part in parts[:-1])])
    return np.concatenate([part + begin for part, begin in zip(parts, first, strict=True)])
