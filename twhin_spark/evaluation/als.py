"""The ALS baseline: Spark MLlib's factorisation of one relation's training edges, as implicit feedback.

Y. Hu, Y. Koren, C. Volinsky: Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.evaluation.known_positives import unpack_blocks
from twhin_spark.evaluation.scoring_models import FactorVectors, ScoringModel
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.tables.session_settings import ARROW_ROWS, spark_setting

_EDGES_IN_BLOCK = 5_000_000


@dataclass(frozen=True)
class AlsSettings:
    """What the section `evaluation.als` of the config says, one value each."""

    rank: int
    iterations: int
    regularization: float
    alpha: float


def fit_als(
    buckets: DataFrame,
    relation: int,
    settings: Sequence[AlsSettings],
    scratch: Scratch,
    *,
    partitions: int,
    seed: int,
) -> list[ScoringModel]:
    """Fits each of the settings to the edges of a relation, by number, in the table `edge_buckets`.

    The confidence of an edge is 1 + alpha · weight.
    """
    with _edges(buckets, relation, partitions) as edges:
        # By the data alone, not by the cluster: the bits of the factors depend on the number of blocks.
        blocks = 2 + edges.count() // _EDGES_IN_BLOCK
        models = []
        for number, one in enumerate(settings):
            als = ALS(
                rank=one.rank,
                maxIter=one.iterations,
                regParam=one.regularization,
                alpha=one.alpha,
                implicitPrefs=True,
                nonnegative=False,
                numUserBlocks=blocks,
                numItemBlocks=blocks,
                userCol="source",
                itemCol="target",
                ratingCol="weight",
                seed=seed,
            )
            fitted = als.fit(edges)
            name = f"{relation}-{number}"
            sources = FactorVectors(scratch, name, "source", one.rank)
            targets = FactorVectors(scratch, name, "target", one.rank)
            _write(fitted.userFactors, sources, partitions)
            _write(fitted.itemFactors, targets, partitions)
            models.append(ScoringModel(sources, targets))
    return models


@contextmanager
def _edges(buckets: DataFrame, relation: int, partitions: int) -> Iterator[DataFrame]:
    """The relation's edges as ALS wants them, cached: whole numbers row · partitions + partition for the ends."""

    def unpacked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for block in unpack_blocks(batch):
                mine = block.relation == relation
                yield pa.RecordBatch.from_pydict(
                    {
                        "source": block.source[mine] * np.int64(partitions) + block.source_partition,
                        "target": block.target[mine] * np.int64(partitions) + block.target_partition,
                        "weight": block.weight[mine],
                    }
                )

    edges = buckets.mapInArrow(unpacked, "source BIGINT, target BIGINT, weight FLOAT").persist()
    try:
        # A row is a block of many edges: the default of 10,000 rows would make gigabytes a batch.
        with spark_setting(buckets.sparkSession, ARROW_ROWS, "16"):
            edges.count()
        yield edges
    finally:
        edges.unpersist()


def _write(factors: DataFrame, to: FactorVectors, partitions: int) -> None:
    """Writes one side's factors (id, features) to a file for each partition."""

    def write(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by("row").combine_chunks()
        row = rows["row"].to_numpy()
        values = rows["features"].combine_chunks().flatten().to_numpy()
        partition = rows["partition"][0].as_py()
        to.write(partition, row, values.reshape(len(row), to.rank))
        return pa.table({"rows": pa.array([len(row)], pa.int64())})

    places = factors.select(
        (F.col("id") % partitions).alias("partition"),
        F.floor(F.col("id") / partitions).cast("int").alias("row"),
        "features",
    )
    places.groupBy("partition").applyInArrow(write, "rows BIGINT").collect()
