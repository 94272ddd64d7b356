"""The similarity of producers: the cosine of their sets of consumers, counted by Spark in integers.

Each task multiplies the matrix of its consumers by itself, so that Spark only adds up what the tasks have counted. For
example, if consumers a and b follow producers 1 and 2, and c follows 1 alone, the pair (1, 2) has 2 common consumers
and the similarity 2 / √(3 · 2) = .816.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from scipy import sparse

from twhin_spark.errors import InputError
from twhin_spark.kernels.arrays import Integers
from twhin_spark.tables.caching import broadcast_if_small

if TYPE_CHECKING:  # workers have no pydantic
    from twhin_spark.config.communities import SimilarityConfig

_PAIRS = 2**24  # that a task counts at once: about half a gigabyte


@dataclass(frozen=True)
class Similarity:
    """The graph of producers that have enough consumers. It is on the driver.

    Attributes
    ----------
    location, consumers
        int64 (n,): entity locations, ascending, and numbers of consumers.
    matrix
        Symmetric CSR matrix (n, n) of cosines, without a diagonal.
    cut
        Number of edges that were left out as their consumers have too many.
    """

    location: Integers
    consumers: Integers
    matrix: sparse.csr_array
    cut: int


def measure_similarity(edges: DataFrame, settings: SimilarityConfig) -> Similarity:
    """Compute the similarities of producers.

    Parameters
    ----------
    edges
        Columns consumer, producer and weight.
    settings
        Limits of consumers and neighbours.

    Raises
    ------
    InputError
        No producer has enough consumers.
    """
    edges, cut = _cut(edges, settings.max_producers)
    counted = edges.groupBy("producer").agg(F.count("*").alias("consumers"))
    producers = counted.where(F.col("consumers") >= settings.min_consumers).orderBy("producer").toArrow()
    location, consumers = (producers[name].to_numpy() for name in ("producer", "consumers"))
    if not len(location):
        raise InputError(
            f"communities.similarity.min_consumers is {settings.min_consumers}, but no producer has so many consumers; "
            "lower it"
        )
    pairs = _count_pairs(edges, location)
    near = _nearest(pairs, consumers, settings.neighbours).toArrow()
    ends = tuple(near[name].to_numpy() for name in ("source", "target"))
    kept = sparse.csr_array((near["cosine"].to_numpy(), ends), shape=(len(location), len(location)))
    matrix = sparse.csr_array(kept.maximum(kept.T))
    matrix.sort_indices()
    return Similarity(location, consumers, matrix, cut)


def _cut(edges: DataFrame, most: int) -> tuple[DataFrame, int]:
    """Keep the heaviest edges of each consumer; return them and the number of the others."""
    degrees = edges.groupBy("consumer").agg(F.count("*").alias("degree")).where(F.col("degree") > most)
    above = degrees.agg(F.sum(F.col("degree") - most).alias("cut")).first()
    if above is None or not above["cut"]:
        return edges, 0
    heaviest = Window.partitionBy("consumer").orderBy(F.col("weight").desc(), "producer")
    ranked = edges.withColumn("rank", F.row_number().over(heaviest))
    return ranked.where(F.col("rank") <= most).drop("rank"), int(above["cut"])


def _count_pairs(edges: DataFrame, location: Integers) -> DataFrame:
    """Return the columns pair and common: i · n + j of producers i < j, and how many consumers they share."""
    count = len(location)
    numbers = edges.sparkSession.createDataFrame(
        pa.table({"producer": pa.array(location), "number": pa.array(np.arange(count))})
    )
    numbered = edges.join(broadcast_if_small(numbers, count), "producer").select("consumer", "number")
    together = numbered.repartition("consumer").sortWithinPartitions("consumer", "number")

    def count_all(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
        table = pa.Table.from_batches(list(batches), pa.schema([("consumer", pa.int64()), ("number", pa.int64())]))
        consumer, number = (table[name].to_numpy() for name in ("consumer", "number"))
        for part in _parts(consumer):
            pair, common = common_consumers(consumer[part], number[part], count)
            yield pa.RecordBatch.from_pydict({"pair": pa.array(pair), "common": pa.array(common)})

    counted = together.mapInArrow(count_all, "pair BIGINT, common BIGINT")
    return counted.groupBy("pair").agg(F.sum("common").alias("common"))


def _parts(consumer: Integers) -> Iterator[slice]:
    """Cut ascending consumers (e,) into runs of whole consumers with about _PAIRS pairs each."""
    first = np.flatnonzero(np.diff(consumer, prepend=-1))
    degree = np.diff(np.append(first, len(consumer)))
    part = np.cumsum(degree**2) // _PAIRS
    begins = first[np.flatnonzero(np.diff(part, prepend=-1))].tolist()
    for begin, end in zip(begins, [*begins[1:], len(consumer)], strict=True):
        yield slice(begin, end)


def common_consumers(consumer: Integers, number: Integers, count: int) -> tuple[Integers, Integers]:
    """Count the common consumers of each pair of producers that has one.

    Parameters
    ----------
    consumer, number
        int64 (e,): the ends of distinct edges, producers as numbers.
    count
        Number n of producers.

    Returns
    -------
    pair, common
        int64 (p,): i · n + j with i < j, and the number of common consumers.
    """
    rows = np.unique(consumer, return_inverse=True)[1]
    present, columns = np.unique(number, return_inverse=True)
    shape = (int(rows.max(initial=-1)) + 1, len(present))
    edges = sparse.csr_array((np.ones(len(rows), np.int64), (rows, columns)), shape=shape)
    common = sparse.triu(edges.T @ edges, k=1).tocoo()
    first, second = common.coords
    return present[first] * count + present[second], common.data


def _nearest(pairs: DataFrame, consumers: NDArray[np.int64], neighbours: int) -> DataFrame:
    """Return the columns source, target and cosine: the most similar producers of each, ties by number."""
    count = len(consumers)

    def compare(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
        for batch in batches:
            first, second = np.divmod(batch["pair"].to_numpy(), count)
            cosine = batch["common"].to_numpy() / np.sqrt((consumers[first] * consumers[second]).astype(np.float64))
            for source, target in ((first, second), (second, first)):
                yield pa.RecordBatch.from_pydict(
                    {"source": pa.array(source), "target": pa.array(target), "cosine": pa.array(cosine)}
                )

    directed = pairs.mapInArrow(compare, "source BIGINT, target BIGINT, cosine DOUBLE")
    nearest = Window.partitionBy("source").orderBy(F.col("cosine").desc(), "target")
    ranked = directed.withColumn("rank", F.row_number().over(nearest))
    return ranked.where(F.col("rank") <= neighbours).drop("rank")
