"""Clusters of content, and the clusters that are nearest to a user or an item."""

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
from twhin_spark.kernels.pair_scores import apply_relation
from twhin_spark.representations.errors import one_of
from twhin_spark.representations.similarity_measures import end_type_error
from twhin_spark.sql.column_scores import vector_matrix
from twhin_spark.sql.pinned_version import PinnedVersion, pin_version

SAMPLE = 100_000  # vectors that k-means uses, in the driver's memory
MOST_CLUSTERS = 1000


@dataclass(frozen=True)
class Cluster:
    """A cluster of entities.

    size: number of entities in the cluster. typical: ids of the entities closest to its centroid, closest first.
    """

    number: int
    size: int
    typical: tuple[str, ...]


@dataclass(frozen=True)
class ContentClusters:
    """The clusters of one entity type in one version.

    Attributes
    ----------
    version, entity_type
        Version and type of the entities.
    centroids
        Unit vectors, float32 (clusters, dim).
    clusters
        The clusters, in the order of the centroids.
    """

    version: PinnedVersion
    entity_type: str
    centroids: Floats
    clusters: Sequence[Cluster]

    def nearest(self, vector: Floats, count: int = 5) -> list[tuple[float, Cluster]]:
        """Return cosine and cluster for the centroids closest to a vector (dim,), highest cosine first."""
        cosines = (unit_rows(vector[None]) @ self.centroids.T)[0]
        order = np.argsort(-cosines, kind="stable")[:count]
        return [(float(cosines[i]), self.clusters[i]) for i in order.tolist()]

    def describe(
        self, entity_type: str, entity_id: str, *, relation: str | None = None, count: int = 5
    ) -> list[tuple[float, Cluster]]:
        """Return cosine and cluster for the clusters nearest to an entity, highest cosine first.

        Parameters
        ----------
        entity_type, entity_id
            The entity.
        relation
            Relation whose operator is applied to the entity's vector; None: the vector is used unchanged.
        count
            Number of clusters.

        Raises
        ------
        InputError
            The entity has no vector, or the relation does not lead from its type to the clusters' type.
        """
        is_entity = (F.col("entity_type") == entity_type) & (F.col("entity_id") == entity_id)
        row = self.version.rows.where(is_entity).select("embedding").first()
        if row is None:
            raise InputError(f"{entity_type} '{entity_id}' has no vector in version {self.version.model_version}")
        vector = np.array(row["embedding"], np.float32)
        if relation is not None:
            operator = self.version.relation(relation)
            if entity_type != operator.source_type:
                raise InputError(end_type_error(relation, "source", entity_type, operator.source_type))
            if self.entity_type != operator.target_type:
                raise InputError(end_type_error(relation, "target", self.entity_type, operator.target_type))
            vector = apply_relation(operator.operator, np.array(operator.parameters), vector[None])[0]
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
) -> ContentClusters:
    """Cluster the vectors of an entity type by spherical k-means.

    K-means runs on SAMPLE vectors in the driver. Then Spark's workers assign every vector to its nearest cluster.

    Parameters
    ----------
    spark, config
        The session, and the config whose output is read.
    entity_type
        Type of the entities that are clustered.
    clusters
        Number of clusters; None: the square root of the number of vectors, at most MOST_CLUSTERS.
    typical
        Number of typical members for each cluster.
    seed
        Seed of the sample and the first centroids.
    version
        Model version or alias.

    Raises
    ------
    InputError
        Nothing is published, no entity has the type, or the type has fewer vectors than clusters.
    """
    pinned = pin_version(spark, config, version)
    rows = pinned.rows.where(F.col("entity_type") == entity_type).select("entity_id", "embedding")
    count = rows.count()
    if not count:
        types = [row[0] for row in pinned.rows.select("entity_type").distinct().collect()]
        raise InputError(f"unknown entity type '{entity_type}'; use {one_of(types)}")
    drawn = rows.orderBy(F.xxhash64("entity_id", F.lit(seed)), "entity_id").limit(SAMPLE).toArrow()
    sample = vector_matrix(drawn["embedding"].combine_chunks())  # (sample, dim)
    cluster_count = min(round(count**0.5), MOST_CLUSTERS) if clusters is None else clusters
    try:
        centroids = spherical_kmeans(sample, cluster_count, np.random.default_rng(seed)).centroids
    except ValueError as error:
        raise InputError(f"clusters: {error}") from None
    members = rows.mapInArrow(_assigner(centroids), "cluster INT, cosine FLOAT, entity_id STRING")
    nearest_first = Window.partitionBy("cluster").orderBy(F.desc("cosine"), "entity_id")
    ranked = members.withColumns(
        {
            "position": F.row_number().over(nearest_first),
            "size": F.count(F.lit(1)).over(Window.partitionBy("cluster")),
        }
    )
    members_of: dict[int, list[tuple[str, int]]] = {}
    for row in ranked.where(F.col("position") <= typical).orderBy("cluster", "position").collect():
        members_of.setdefault(row["cluster"], []).append((row["entity_id"], row["size"]))
    described = [_cluster(number, members_of.get(number, [])) for number in range(cluster_count)]
    return ContentClusters(pinned, entity_type, centroids, described)


def _cluster(number: int, members: Sequence[tuple[str, int]]) -> Cluster:
    return Cluster(number, members[0][1] if members else 0, tuple(name for name, _ in members))


def _assigner(centroids: Floats) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the nearest centroid of each vector. Runs on workers."""
        for batch in batches:
            if batch.num_rows:
                labels, cosines = nearest_centroids(vector_matrix(batch["embedding"]), centroids)
                yield pa.record_batch(
                    {"cluster": labels.astype(np.int32), "cosine": cosines, "entity_id": batch["entity_id"]}
                )

    return assign
