"""Ranks the answers of queries among all candidates, for any number of relations and models, in three Spark jobs.

1. Each task reads partitions of sources and writes the vectors of the queries.
2. Each task reads partitions of targets and writes the scores of the answers that lie there.
3. Each task counts, among the candidates of its partitions, those that score above each answer; Spark adds up.

A task holds one partition of vectors, or some small ones, one batch of queries and a tile of scores. Scores are exact
(kernels/ranking.py) and counts are whole numbers, so a rank depends neither on the partitions nor on the tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.evaluation.known_positives import KnownPositives
from twhin_spark.evaluation.ranking_task import COUNTS, RankingRequest, RankingTask
from twhin_spark.kernels.exact_ranks import realistic_rank

_SOURCES_IN_BATCH = 16_384


@dataclass(frozen=True)
class Ranks:
    """The rank of each query's answer, ties broken at random in expectation: float64 (m,).

    among_new: among the candidates that are no training target of the source.
    filtered: among those that are no other target of the source in any split.
    Neither counts the source itself where QuerySet.excludes_source says so.
    """

    among_new: NDArray[np.float64]
    filtered: NDArray[np.float64]


def concatenate_ranks(parts: Sequence[Ranks]) -> Ranks:
    """The ranks of all parts, one after the other."""
    return Ranks(*(np.concatenate([getattr(one, name) for one in parts]) for name in ("among_new", "filtered")))


def rank_queries(
    spark: SparkSession,
    known_positives: KnownPositives,
    rankings: Sequence[RankingRequest],
    *,
    partitions: int,
    target_partitions: Sequence[int],
) -> list[Ranks]:
    """The ranks of each ranking. Sources lie in `partitions` partitions, targets in those that have known_positives."""
    if not rankings:
        return []
    slots = spark.sparkContext.defaultParallelism
    most_sources = max(len(one.query_set.queries.sources) for one in rankings)
    batches = min(partitions, max(slots, -(-most_sources // _SOURCES_IN_BATCH)))
    cuts = [partitions * i // batches for i in range(batches + 1)]
    runs = [part.tolist() for part in np.array_split(target_partitions, min(2 * slots, len(target_partitions)))]
    task = RankingTask(known_positives, rankings, cuts, runs)
    _run(spark, len(rankings) * batches, 2 * slots, task.write_vectors, "unit INT").collect()
    _run(spark, len(runs), len(runs), task.write_scores, "unit INT").collect()
    schema = ", ".join(["ranking INT", "query INT", *(f"{name} BIGINT" for name in COUNTS)])
    counts = _run(spark, len(runs), len(runs), task.count, schema)
    return _ranks(counts, [len(one.query_set.queries) for one in rankings])


def _run(
    spark: SparkSession, units: int, tasks: int, work: Callable[[list[int]], Iterator[pa.RecordBatch]], schema: str
) -> DataFrame:
    """Units of work, numbered from 0, in at most `tasks` tasks."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from work([unit for batch in batches for unit in batch["id"].to_pylist()])

    return spark.range(0, units, 1, min(units, tasks)).mapInArrow(run, schema)


def _ranks(counts: DataFrame, queries: Sequence[int]) -> list[Ranks]:
    """Adds up what the tasks counted; `queries` is the number of them in each ranking."""
    summed = counts.groupBy("ranking", "query").agg(*(F.sum(name).alias(name) for name in COUNTS)).toArrow()
    column = {name: summed[name].to_numpy() for name in summed.column_names}
    order = np.lexsort((column["query"], column["ranking"]))
    parts = (np.split(column[name][order], np.cumsum(queries)[:-1]) for name in COUNTS)
    return [Ranks(realistic_rank(a, b), realistic_rank(c, d)) for a, b, c, d in zip(*parts, strict=True)]
