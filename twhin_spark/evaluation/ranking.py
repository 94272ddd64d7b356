"""Ranking of each query's positive among all candidates, for any number of relations and models, in three Spark jobs.

1. Each task reads partitions of sources and writes the vectors of the queries.
2. Each task reads partitions of targets and writes the scores of the positives that lie there.
3. Each task counts, among the candidates of its partitions, those that score above each positive; Spark adds up.

A task holds one partition of vectors (or a few small ones), one batch of queries and a tile of scores. Scores are exact
(kernels/exact_ranks.py) and counts are whole numbers, so a rank depends neither on the partitions nor on the tasks.
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
from twhin_spark.evaluation.ranking_task import COUNTS, RankingInput, RankingTask
from twhin_spark.kernels.exact_ranks import realistic_rank

_SOURCES_IN_BATCH = 16_384


@dataclass(frozen=True)
class Ranks:
    """The rank of each query's positive, from 1, as the mean over its ties: float64 (m,).

    among_new: the rank among the candidates that are no training target of the source.
    filtered: the rank among those that are no other target of the source in any split.
    Neither counts the source itself if `QuerySet.excludes_source` is true.
    """

    among_new: NDArray[np.float64]
    filtered: NDArray[np.float64]


def concatenate_ranks(parts: Sequence[Ranks]) -> Ranks:
    """Return the ranks of all parts, in the order of the parts."""
    return Ranks(*(np.concatenate([getattr(ranks, name) for ranks in parts]) for name in ("among_new", "filtered")))


def rank_queries(
    spark: SparkSession,
    known_positives: KnownPositives,
    requests: Sequence[RankingInput],
    *,
    partitions: int,
    target_partitions: Sequence[int],
) -> list[Ranks]:
    """Rank the positives of each request's queries under its model.

    Parameters
    ----------
    spark
        The session that runs the jobs.
    known_positives
        The files that `write_known_positives` has written for the requests' query sets.
    requests
        Query sets and the models to rank their positives by.
    partitions
        The graph's number of partitions, over which the sources are spread.
    target_partitions
        The partitions that have files of known positives, ascending.

    Returns
    -------
    The ranks of each request, in the order of its queries.
    """
    if not requests:
        return []
    slots = spark.sparkContext.defaultParallelism
    most_sources = max(len(request.query_set.queries.sources) for request in requests)
    batches = min(partitions, max(slots, -(-most_sources // _SOURCES_IN_BATCH)))
    source_cuts = [partitions * i // batches for i in range(batches + 1)]
    ranges = np.array_split(target_partitions, min(2 * slots, len(target_partitions)))
    task = RankingTask(known_positives, requests, source_cuts, [part.tolist() for part in ranges])
    _run(spark, len(requests) * batches, 2 * slots, task.write_vectors, "unit INT").collect()
    _run(spark, len(ranges), len(ranges), task.write_scores, "unit INT").collect()
    schema = ", ".join(["request INT", "query INT", *(f"{name} BIGINT" for name in COUNTS)])
    counts = _run(spark, len(ranges), len(ranges), task.count, schema)
    return _ranks(counts, [len(request.query_set.queries) for request in requests])


def _run(
    spark: SparkSession, units: int, tasks: int, work: Callable[[list[int]], Iterator[pa.RecordBatch]], schema: str
) -> DataFrame:
    """Run units of work, numbered from 0, in at most `tasks` tasks."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from work([unit for batch in batches for unit in batch["id"].to_pylist()])

    return spark.range(0, units, 1, min(units, tasks)).mapInArrow(run, schema)


def _ranks(counts: DataFrame, queries: Sequence[int]) -> list[Ranks]:
    """Add up the counts of all tasks; `queries` is the number of queries of each request."""
    summed = counts.groupBy("request", "query").agg(*(F.sum(name).alias(name) for name in COUNTS)).toArrow()
    column = {name: summed[name].to_numpy() for name in summed.column_names}
    order = np.lexsort((column["query"], column["request"]))
    parts = (np.split(column[name][order], np.cumsum(queries)[:-1]) for name in COUNTS)
    return [Ranks(realistic_rank(a, b), realistic_rank(c, d)) for a, b, c, d in zip(*parts, strict=True)]
