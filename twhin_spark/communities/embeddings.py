"""The sparse representations, as rows of an entity, a community and a weight: joins whose sums are exact."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from twhin_spark.communities.consumer_edges import ConsumerEdges
from twhin_spark.config.communities import InterestedInConfig, ItemsConfig, ProducersConfig
from twhin_spark.graph.exact_sum import exact_sum
from twhin_spark.logs.relations import by_name

_MICROS_PER_HOUR = 3600e6


def interested_in(edges: ConsumerEdges, known_for: DataFrame, settings: InterestedInConfig) -> DataFrame:
    """Return consumer, community and weight: U = A V, of which each consumer keeps its first communities.

    Parameters
    ----------
    edges
        A.
    known_for
        V: columns producer, community and known_for, its weight.
    settings
        Social proof and the number of communities.
    """
    summed = (
        edges.rows.join(F.broadcast(known_for), "producer")
        .groupBy("consumer", "community")
        .agg(exact_sum(F.col("weight") * F.col("known_for")).alias("weight"), F.count("*").alias("producers"))
    )
    proved = summed.where((F.col("producers") >= settings.social_proof) & (F.col("weight") > 0)).drop("producers")
    return first_by_weight(proved, "consumer", settings.top)


def producer_embeddings(edges: ConsumerEdges, interests: DataFrame, settings: ProducersConfig) -> DataFrame:
    """Return producer, community and weight: the cosine of a producer's column of A and a community's column of U.

    It is multiplied by a power, `settings.norm`, of the length of the producer's column, with the true weights.
    """
    interests = interests.withColumnRenamed("weight", "interest")
    summed = (
        edges.rows.join(interests, "consumer")
        .groupBy("producer", "community")
        .agg(exact_sum(F.col("weight") * F.col("interest")).alias("dot"))
    )
    producer_norm = edges.rows.groupBy("producer").agg(_norm("weight").alias("producer_norm"))
    community_norm = interests.groupBy("community").agg(_norm("interest").alias("community_norm"))
    compared = summed.join(producer_norm, "producer").join(F.broadcast(community_norm), "community")
    cosine = F.col("dot") / (F.col("producer_norm") * F.col("community_norm"))
    near = compared.withColumn("cosine", cosine).where(F.col("cosine") >= settings.least_cosine)
    norm = F.col("producer_norm") * F.lit(2.0**edges.exponent)
    if settings.norm < 1:
        norm = F.pow(norm, F.lit(settings.norm))
    weight = F.col("cosine") * norm
    rows = near.select("producer", "community", weight.alias("weight")).where(F.col("weight") > 0)
    return first_by_weight(rows, "producer", settings.top)


def item_embeddings(
    engagements: DataFrame, interests: DataFrame, settings: ItemsConfig, reference_time: datetime | None
) -> DataFrame:
    """Return item, community and weight: the interests of those who engaged with an item, halved with age, summed.

    Parameters
    ----------
    engagements
        Training edges of consumers, columns of the table `edges`.
    interests
        Columns consumer_id, community and weight.
    settings
        Relations, decay and limits.
    reference_time
        Time that ages are counted back from; None: no decay.
    """
    engaged = engagements.where(F.col("relation").isin(list(settings.relations)))
    if settings.authors is not None:
        own = engagements.where(F.col("relation") == settings.authors).select("source_id", "target_id").distinct()
        engaged = engaged.join(own, ["source_id", "target_id"], "left_anti")
    factor = by_name(settings.relations) * _decay(settings.half_life_hours, reference_time)
    weighted = engaged.select(
        F.col("source_id").alias("consumer_id"), F.col("target_id").alias("item"), factor.alias("factor")
    )
    engagers = weighted.groupBy("item").agg(F.countDistinct("consumer_id").alias("engagers"))
    enough = engagers.where(F.col("engagers") >= settings.min_engagements).select("item")
    summed = (
        weighted.join(enough, "item")
        .join(interests, "consumer_id")
        .groupBy("item", "community")
        .agg(exact_sum(F.col("factor") * F.col("weight")).alias("weight"))
    )
    kept = summed.where((F.col("weight") >= settings.least_weight) & (F.col("weight") > 0))
    return first_by_weight(kept, "item", settings.top)


def first_by_weight(rows: DataFrame, key: str, top: int) -> DataFrame:
    """Keep the `top` communities of each key with the largest weights; ties by community."""
    heaviest = Window.partitionBy(key).orderBy(F.col("weight").desc(), "community")
    ranked = rows.withColumn("rank", F.row_number().over(heaviest))
    return ranked.where(F.col("rank") <= top).drop("rank")


def as_maps(rows: DataFrame, entity: list[str]) -> DataFrame:
    """Return the columns `entity` and embedding: a map of community to weight, the largest weight first."""
    pairs = F.array_sort(F.collect_list(F.struct((-F.col("weight")).alias("order"), "community")))
    entries = F.transform(pairs, lambda pair: F.struct(pair["community"], (-pair["order"]).cast("float")))
    return rows.groupBy(*entity).agg(F.map_from_entries(entries).alias("embedding"))


def _norm(column: str) -> Column:
    return F.sqrt(exact_sum(F.col(column) * F.col(column)))


def _decay(half_life_hours: float | None, reference_time: datetime | None) -> Column:
    if half_life_hours is None or reference_time is None:
        return F.lit(1.0)
    age = F.unix_micros(F.lit(reference_time)) - F.unix_micros("last_time")
    hours = F.greatest(age, F.lit(0)) / F.lit(_MICROS_PER_HOUR)
    return F.coalesce(F.pow(F.lit(2.0), -hours / F.lit(half_life_hours)), F.lit(1.0))
