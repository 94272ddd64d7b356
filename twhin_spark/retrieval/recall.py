"""How many of the test edges are among the candidates, beside popularity and ALS on the same queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.evaluation.compared_models import ComparedModels
from twhin_spark.evaluation.comparison import Comparison, rank_test_queries, tune_models
from twhin_spark.evaluation.held_out_edges import read_held_out_edges
from twhin_spark.evaluation.known_positives import KnownPositives, QuerySet, write_known_positives
from twhin_spark.evaluation.queries import Queries, queries_of
from twhin_spark.evaluation.ranking import rank_queries
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.graph.entity_location import location_column
from twhin_spark.kernels.arrays import Integers
from twhin_spark.retrieval.published_version import Version
from twhin_spark.retrieval.resolved_query import Asked
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, EDGES, ENTITIES
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.trained_run import TrainedRun

Row = dict[str, Any]


def measure_recall(
    store: TableStore,
    config: Config,
    version: Version,
    queries: Sequence[Asked],
    candidates: DataFrame,
    progress: Callable[[str], None],
) -> list[Row]:
    """recall@k of the queries that ask for it, and of the blends that they are in: rows as of the table `metrics`.

    recall@k is the share of a source's test targets that are among its first k candidates, averaged over the sources
    with a new test edge both of whose ends were seen in training. A source without candidates counts as 0. The
    baselines' are those of evaluation: the same queries, among all targets but the relation's training targets.
    """
    asked = {query.recall for query in queries if query.recall}
    if not asked:
        return []
    graph = version.graph
    entities = store.read(ENTITIES, graph.tables["entities"])
    held = read_held_out_edges(store.read(EDGES, graph.tables["edges"]), entities, graph.relations)
    rows: list[Row] = []
    for relation in [name for name in graph.relations if name in asked]:
        test = queries_of(held[relation, "test"], held[relation, "validation"])
        if not len(test):
            progress(f"{relation}: no new test edge with both ends in training, so no recall")
            continue
        measured = [query.name for query in queries if query.recall == relation]
        blends = [name for name, blend in config.retrieval.blends.items() if set(blend.queries) & set(measured)]
        ats = config.retrieval.recall_at
        for name in (*measured, *blends):
            ranks = _ranks(candidates.where(F.col("query") == name), entities, test)
            rows += _recall_rows(relation, name, ranks, test, ats)
        validation = queries_of(held[relation, "validation"], held[relation, "test"])
        for model, ranks in _baselines(store, config, version, relation, test, validation, progress).items():
            rows += _recall_rows(relation, model, ranks, test, ats)
        for at in ats:
            values = ", ".join(
                f"{row['model']} {row['value']:.4f}"
                for row in rows
                if row["relation"] == relation and row["metric"] == f"recall@{at}"
            )
            progress(f"{relation}: test recall@{at} {values}, of {len(test.sources):,} sources")
    return rows


def recall_at(k: int, ranks: NDArray[np.float64], source: Integers) -> float:
    """Mean over sources of the share of their answers with a rank of at most k; ranks and source numbers are (m,)."""
    shares = np.bincount(source, ranks <= k) / np.bincount(source)
    return math.fsum(shares) / len(shares)  # exact, so that the order of the sources leaves no trace


def _recall_rows(relation: str, model: str, ranks: NDArray[np.float64], test: Queries, ats: Sequence[int]) -> list[Row]:
    return [
        {
            "relation": relation,
            "model": model,
            "metric": f"recall@{k}",
            "value": recall_at(k, ranks, test.source),
            "queries": len(test.sources),
        }
        for k in ats
    ]


def _ranks(candidates: DataFrame, entities: DataFrame, test: Queries) -> NDArray[np.float64]:
    """The rank of each test query's answer (m,) in its source's candidates, infinite where it is not there."""
    of = {
        end: entities.select(
            F.col("entity_type").alias(f"{end}_type"),
            F.col("entity_id").alias(f"{end}_id"),
            location_column().alias(f"{end}_place"),
        )
        for end in ("source", "candidate")
    }
    spark = candidates.sparkSession
    pairs = {"source_place": test.sources[test.source], "candidate_place": test.target, "at": np.arange(len(test))}
    wanted = spark.createDataFrame(pd.DataFrame(pairs))
    wanted = wanted.join(of["source"], "source_place").join(of["candidate"], "candidate_place")
    ends = ["source_type", "source_id", "candidate_type", "candidate_id"]
    found = candidates.join(F.broadcast(wanted), ends).select("at", "rank").toPandas()
    ranks = np.full(len(test), np.inf)
    ranks[found["at"].to_numpy()] = found["rank"].to_numpy()
    return ranks


def _baselines(
    store: TableStore,
    config: Config,
    version: Version,
    relation: str,
    test: Queries,
    validation: Queries,
    progress: Callable[[str], None],
) -> dict[str, NDArray[np.float64]]:
    """The ranks (m,) of the answers under popularity and ALS, each as evaluation tunes and ranks it."""
    graph = version.graph
    folder = RunFolder(config.output, version.model_version)
    manifest = folder.latest()
    if manifest is None:
        raise InputError(f"{folder.location}: found no training of version {version.model_version}; recall needs it")
    number = graph.relations.index(relation)
    ends = config.relations[relation]
    omits = ends.source == ends.target and config.graph.self_loops == "drop"
    sets = QuerySet("test", number, test, omits), QuerySet("tune", number, validation, omits)
    scratch = Scratch(f"{folder.location}/candidates-recall")
    scratch.remove()
    try:
        known_positives = KnownPositives(scratch)
        buckets = store.read(EDGE_BUCKETS, graph.tables["edge_buckets"])
        types = [config.relations[name].target for name in graph.relations]
        targets = write_known_positives(
            store.read(ENTITIES, graph.tables["entities"]), buckets, known_positives, types, sets
        )
        run = TrainedRun(version.model_version, folder, manifest, graph)
        models = ComparedModels(config, run, buckets, known_positives).for_relation(*sets, progress)
        del models["twhin"]  # the candidates stand for it
        rank_here = partial(
            rank_queries, store.spark, known_positives, partitions=graph.partitions, target_partitions=targets
        )
        comparisons = tune_models(
            [Comparison(relation, *sets, models, config.evaluation.als is not None)], rank_here, progress
        )
        found = rank_test_queries(comparisons, rank_here)[0]
        return {model: ranks.among_new for model, ranks in found.items()}
    finally:
        scratch.remove()
