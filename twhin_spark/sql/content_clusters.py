"""What a user or an item is about: the nearest clusters of content, each with its most typical members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.clusters import nearest_centroids, spherical_kmeans, unit_rows
from twhin_spark.kernels.pair_scores import through
from twhin_spark.representations.errors import one_of
from twhin_spark.representations.similarity_measures import wrong_end
from twhin_spark.sql.column_scores import vectors
from twhin_spark.sql.pinned_version import PinnedVersion, pin_version

SAMPLE = 100_000  # vectors that the clusters are found on, in the driver's memory
MOST_CLUSTERS = 1000


@dataclass(frozen=True)
class Cluster:
    """size: entities whose nearest cluster it is. typical: those of them that are closest to its centroid, in order."""

    number: int
    size: int
    typical: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """The clusters of one entity type in one version. centroids: unit vectors, float32 (clusters, dim)."""

    version: PinnedVersion
    entity_type: str
    centroids: Floats
    clusters: Sequence[Cluster]

    def nearest(self, vector: Floats, count: int = 5) -> list[tuple[float, Cluster]]:
        """The clusters whose centroids are closest to a vector (dim,): cosine and cluster, highest first."""
        cosines = (unit_rows(vector[None]) @ self.centroids.T)[0]
        order = np.argsort(-cosines, kind="stable")[:count]
        return [(float(cosines[i]), self.clusters[i]) for i in order.tolist()]

    def describe(
        self, entity_type: str, entity_id: str, *, relation: str | None = None, count: int = 5
    ) -> list[tuple[float, Cluster]]:
        """The clusters nearest to an entity, or to what a relation makes of it.

        Raises InputError where the entity has no vector, or the relation does not lead from it to the clusters' type.
        """
        wanted = (F.col("entity_type") == entity_type) & (F.col("entity_id") == entity_id)
        row = self.version.rows.where(wanted).select("embedding").first()
        if row is None:
            raise InputError(f"{entity_type} '{entity_id}' has no vector in version {self.version.model_version}")
        vector = np.array(row["embedding"], np.float32)
        if relation is not None:
            found = self.version.relation(relation)
            if entity_type != found.source_type:
                raise InputError(wrong_end(relation, "source", entity_type, found.source_type))
            if self.entity_type != found.target_type:
                raise InputError(wrong_end(relation, "target", self.entity_type, found.target_type))
            vector = through(found.operator, np.array(found.parameters), vector[None])[0]
        return self.nearest(vector, count)


def cluster_content(
    spark: SparkSession,
    config: Config,
    entity_type: str,
    *,
    clusters: int | None = None,
    typical: int = 5,
    seed: int = 0,
    version: str = "current",
) -> Content:
    """Clusters the vectors of an entity type by spherical k-means.

    The clusters are found on SAMPLE vectors; then every vector is put to its nearest one by Spark's workers.

    Parameters
    ----------
    spark, config
        The session, and the config whose output is read.
    entity_type
        Of the entities that are clustered.
    clusters
        How many; by default the root of the number of vectors, MOST_CLUSTERS at most.
    typical
        How many members of each cluster are named.
    seed
        Of the sample and the first centroids.
    version
        Model version or alias.

    Raises
    ------
    InputError
        Nothing is published, no entity has the type, or it has fewer vectors than clusters.
    """
    pinned = pin_version(spark, config, version)
    rows = pinned.rows.where(F.col("entity_type") == entity_type).select("entity_id", "embedding")
    count = rows.count()
    if not count:
        types = [row[0] for row in pinned.rows.select("entity_type").distinct().collect()]
        raise InputError(f"unknown entity type '{entity_type}'; allowed: {one_of(types)}")
    drawn = rows.orderBy(F.xxhash64("entity_id", F.lit(seed)), "entity_id").limit(SAMPLE).toArrow()
    sample = vectors(drawn["embedding"].combine_chunks())  # (sample, dim)
    wanted = min(round(count**0.5), MOST_CLUSTERS) if clusters is None else clusters
    try:
        centroids = spherical_kmeans(sample, wanted, np.random.default_rng(seed)).centroids
    except ValueError as error:
        raise InputError(f"clusters: {error}") from None
    members = rows.mapInArrow(_assigner(centroids), "cluster INT, cosine FLOAT, entity_id STRING")
    nearest_first = Window.partitionBy("cluster").orderBy(F.desc("cosine"), "entity_id")
    ranked = members.withColumns(
        {
            "place": F.row_number().over(nearest_first),
            "size": F.count(F.lit(1)).over(Window.partitionBy("cluster")),
        }
    )
    named: dict[int, list[tuple[str, int]]] = {}
    for row in ranked.where(F.col("place") <= typical).orderBy("cluster", "place").collect():
        named.setdefault(row["cluster"], []).append((row["entity_id"], row["size"]))
    found = [_cluster(number, named.get(number, [])) for number in range(wanted)]
    return Content(pinned, entity_type, centroids, found)


def _cluster(number: int, members: Sequence[tuple[str, int]]) -> Cluster:
    return Cluster(number, members[0][1] if members else 0, tuple(name for name, _ in members))


def _assigner(centroids: Floats) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Runs on workers: vectors → the nearest centroid of each."""
        for batch in batches:
            if batch.num_rows:
                labels, cosines = nearest_centroids(vectors(batch["embedding"]), centroids)
                yield pa.record_batch(
                    {"cluster": labels.astype(np.int32), "cosine": cosines, "entity_id": batch["entity_id"]}
                )

    return assign
