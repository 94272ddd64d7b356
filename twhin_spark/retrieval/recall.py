"""Recall of the test edges among the candidates, beside popularity and ALS on the same queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.evaluation.comparison import ModelName
from twhin_spark.evaluation.held_out_edges import read_held_out_edges
from twhin_spark.evaluation.queries import Queries, queries_of
from twhin_spark.evaluation.relation_ranking import QuerySets, RelationRanking
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.graph.entity_location import location_column
from twhin_spark.kernels.arrays import Integers
from twhin_spark.retrieval.published_version import PublishedVersion
from twhin_spark.retrieval.resolved_query import ResolvedQuery
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.trained_run import TrainedRun

MetricRow = dict[str, Any]


def measure_recall(
    store: TableStore,
    config: Config,
    version: PublishedVersion,
    queries: Sequence[ResolvedQuery],
    candidates: DataFrame,
    progress: Callable[[str], None],
) -> list[MetricRow]:
    """Measure recall@k of the queries whose `recall` is set, of the blends that contain them, and of baselines.

    recall@k is the share of a source's test targets that are among its first k candidates, averaged over the sources
    that have a new test edge with both ends in training. The recall of a source without candidates is 0. The baselines
    are evaluation's: they rank all targets except the relation's training targets, for the same sources.

    Parameters
    ----------
    store
        The tables.
    config
        The config.
    version
        Version that the candidates come from.
    queries
        The queries.
    candidates
        The table `candidates`.
    progress
        Function that is called with a line for each relation.

    Returns
    -------
    list of dict
        relation, model (a query, a blend or a baseline), metric, value and queries, as in the table `metrics`.
    """
    measured_relations = {query.recall for query in queries if query.recall}
    if not measured_relations:
        return []
    graph = version.graph
    entities = store.read(ENTITIES, graph.tables["entities"])
    held_out = read_held_out_edges(store.read(EDGES, graph.tables["edges"]), entities, graph.relations)
    rows: list[MetricRow] = []
    for relation in [name for name in graph.relations if name in measured_relations]:
        test = queries_of(held_out[relation, "test"], held_out[relation, "validation"])
        if not len(test):
            progress(f"{relation}: no new test edge with both ends in training, so no recall")
            continue
        names = [query.name for query in queries if query.recall == relation]
        blends = [name for name, blend in config.retrieval.blends.items() if set(blend.queries) & set(names)]
        ks = config.retrieval.recall_at
        for name in (*names, *blends):
            ranks = _ranks(candidates.where(F.col("query") == name), entities, test)
            rows += _recall_rows(relation, name, ranks, test, ks)
        validation = queries_of(held_out[relation, "validation"], held_out[relation, "test"])
        ranking = _baseline_ranking(store, config, version, progress)
        sets = ranking.query_sets(relation, test, validation)
        for model, ranks in _baseline_ranks(ranking, relation, sets).items():
            rows += _recall_rows(relation, model, ranks, test, ks)
        for k in ks:
            values = ", ".join(
                f"{row['model']} {row['value']:.4f}"
                for row in rows
                if row["relation"] == relation and row["metric"] == f"recall@{k}"
            )
            progress(f"{relation}: test recall@{k} {values}, of {len(test.sources):,} sources")
    return rows


def recall_at(k: int, ranks: NDArray[np.float64], source: Integers) -> float:
    """Return the mean over sources of the share of their positives with a rank of at most k.

    ranks, source: rank of each positive and number of its source, (m,).
    """
    shares = np.bincount(source, ranks <= k) / np.bincount(source)
    return math.fsum(shares) / len(shares)  # exact, so that the order of the sources does not matter


def _recall_rows(
    relation: str, model: str, ranks: NDArray[np.float64], test: Queries, ks: Sequence[int]
) -> list[MetricRow]:
    return [
        {
            "relation": relation,
            "model": model,
            "metric": f"recall@{k}",
            "value": recall_at(k, ranks, test.source),
            "queries": len(test.sources),
        }
        for k in ks
    ]


def _ranks(candidates: DataFrame, entities: DataFrame, test: Queries) -> NDArray[np.float64]:
    """Return the rank of each test query's positive (m,) among its source's candidates, infinity if it is none."""
    locations = {
        end: entities.select(
            F.col("entity_type").alias(f"{end}_type"),
            F.col("entity_id").alias(f"{end}_id"),
            location_column().alias(f"{end}_location"),
        )
        for end in ("source", "candidate")
    }
    spark = candidates.sparkSession
    pairs = {
        "source_location": test.sources[test.source],
        "candidate_location": test.target,
        "positive": np.arange(len(test)),
    }
    positives = spark.createDataFrame(pd.DataFrame(pairs))
    positives = positives.join(locations["source"], "source_location").join(
        locations["candidate"], "candidate_location"
    )
    ends = ["source_type", "source_id", "candidate_type", "candidate_id"]
    ranked = candidates.join(F.broadcast(positives), ends).select("positive", "rank").toPandas()
    ranks = np.full(len(test), np.inf)
    ranks[ranked["positive"].to_numpy()] = ranked["rank"].to_numpy()
    return ranks


def _baseline_ranking(
    store: TableStore, config: Config, version: PublishedVersion, progress: Callable[[str], None]
) -> RelationRanking:
    """Return the ranking of the version's run. Raises InputError if its training is missing."""
    folder = RunFolder(config.output, version.model_version)
    manifest = folder.latest()
    if manifest is None:
        raise InputError(
            f"{folder.location}: the training of version {version.model_version} is missing, and recall requires it"
        )
    run = TrainedRun(version.model_version, folder, manifest, version.graph)
    return RelationRanking(store, config, run, Scratch(f"{folder.location}/candidates-recall"), progress)


def _baseline_ranks(ranking: RelationRanking, relation: str, sets: QuerySets) -> dict[ModelName, NDArray[np.float64]]:
    """Return the ranks (m,) of the test queries' positives among new candidates, by popularity and by ALS."""
    ranking.scratch.remove()
    try:
        by_model = ranking.rank({relation: sets}, baselines_only=True)[relation]
        return {model: ranks.among_new for model, ranks in by_model.items()}
    finally:
        ranking.scratch.remove()
