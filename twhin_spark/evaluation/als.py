"""ALS baseline: Spark MLlib's factorisation of one relation's training edges as implicit feedback.

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
from twhin_spark.tables.session_settings import ARROW_BYTES, spark_setting

_EDGES_IN_BLOCK = 5_000_000


@dataclass(frozen=True)
class AlsSettings:
    """One combination of the values in the config's section `evaluation.als`."""

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
    """Fit each of the settings to the edges of one relation; the confidence of an edge is 1 + alpha · weight.

    Parameters
    ----------
    buckets
        The table `edge_buckets`.
    relation
        The relation's number.
    settings
        The values to fit ALS with, a model for each.
    scratch
        The folder that the factors are written to.
    partitions
        The graph's number of partitions.
    seed
        The seed of the initial factors.

    Returns
    -------
    A model for each of the settings, in their order.
    """
    with _edges(buckets, relation, partitions) as edges:
        # The bits of the factors depend on the number of blocks, so it depends on the data alone, not on the cluster.
        blocks = 2 + edges.count() // _EDGES_IN_BLOCK
        models = []
        for number, values in enumerate(settings):
            als = ALS(
                rank=values.rank,
                maxIter=values.iterations,
                regParam=values.regularization,
                alpha=values.alpha,
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
            sources = FactorVectors(scratch, name, "source", values.rank)
            targets = FactorVectors(scratch, name, "target", values.rank)
            _write(fitted.userFactors, sources, partitions)
            _write(fitted.itemFactors, targets, partitions)
            models.append(ScoringModel(sources, targets))
    return models


@contextmanager
def _edges(buckets: DataFrame, relation: int, partitions: int) -> Iterator[DataFrame]:
    """Cache the relation's edges for ALS, which needs a whole number for each end: row · partitions + partition.

    In a graph of 8 partitions the entity in partition 3, row 5 is number 43.
    """

    def unpacked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for block in unpack_blocks(batch):
                of_relation = block.relation == relation
                yield pa.RecordBatch.from_pydict(
                    {
                        "source": block.source[of_relation] * np.int64(partitions) + block.source_partition,
                        "target": block.target[of_relation] * np.int64(partitions) + block.target_partition,
                        "weight": block.weight[of_relation],
                    }
                )

    edges = buckets.mapInArrow(unpacked, "source BIGINT, target BIGINT, weight FLOAT").persist()
    try:
        # A row is a block of many edges, so the default of 10,000 rows would make batches of gigabytes.
        with spark_setting(buckets.sparkSession, ARROW_BYTES, str(16 << 20)):
            edges.count()
        yield edges
    finally:
        edges.unpersist()


def _write(factors: DataFrame, side: FactorVectors, partitions: int) -> None:
    """Write the factors of one side, rows of id and features, to a file for each partition."""

    def write(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by("row").combine_chunks()
        row = rows["row"].to_numpy()
        values = rows["features"].combine_chunks().flatten().to_numpy()
        partition = rows["partition"][0].as_py()
        side.write(partition, row, values.reshape(len(row), side.rank))
        return pa.table({"rows": pa.array([len(row)], pa.int64())})

    located = factors.select(
        (F.col("id") % partitions).alias("partition"),
        F.floor(F.col("id") / partitions).cast("int").alias("row"),
        "features",
    )
    located.groupBy("partition").applyInArrow(write, "rows BIGINT").collect()
