"""The Representation Scorer in batch: `score` columns on a DataFrame of pairs, the same numbers that the service gives.

>>> score_pairs(spark, config, pairs, [Score(relation="favorite", weight=0.7), Score(measure="cosine", weight=0.3)])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.config.serving import Score
from twhin_spark.errors import InputError
from twhin_spark.representations.catalogue import CURRENT
from twhin_spark.representations.similarity_measures import measure_name, wrong_end
from twhin_spark.representations.store_manifest import Relation
from twhin_spark.sql.functions import measure_function
from twhin_spark.sql.pinned_version import PinnedVersion, pin_version

ENDS = ("source", "target")
ASKED = tuple(f"{end}_{part}" for end in ENDS for part in ("type", "id"))
ANSWERED = ("score", "parts", "model_versions")


def score_pairs(
    spark: SparkSession,
    config: Config,
    pairs: DataFrame,
    scores: Sequence[Score] = (Score(),),
    *,
    versions: Mapping[str, str] | None = None,
) -> DataFrame:
    """The pairs with their scores, in columns that are added to theirs.

    score: double, the weighted sum; null where an entity has no representation. parts: array<double>, each score before
    its weight. model_versions: map of family to the one version that all rows are scored with.

    Parameters
    ----------
    spark, config
        The session, and the config whose output is read.
    pairs
        source_type, source_id, target_type, target_id, and anything else. Duplicates are scored again.
    scores
        Added up with their weights; by default the cosine.
    versions
        Model version or alias by family; current where a family is not named. Pinned by this call.

    Raises
    ------
    InputError
        A column is missing; a family, version, relation or measure is unknown. That an end of a pair has another type
        than the relation allows, or that lengths differ, is found when Spark runs: the job then fails with that line.
    """
    _check(pairs, scores)
    asked = versions or {}
    names = dict.fromkeys(score.family for score in scores)
    families = {name: pin_version(spark, config, asked.get(name, CURRENT), name) for name in names}
    rows = reduce(_with_vectors, families.values(), pairs)
    parts = {_name("part", str(i)): _part(families[score.family], score) for i, score in enumerate(scores)}
    # Summed as `weighted_sum` does, from zero and in order, so that the bits agree.
    weighted = (F.lit(score.weight) * F.col(part) for score, part in zip(scores, parts, strict=True))
    used = [F.lit(text) for family in families.values() for text in (family.family, family.model_version)]
    return rows.withColumns(parts).select(
        *pairs.columns,
        reduce(add, weighted, F.lit(0.0)).alias("score"),
        F.array(*parts).alias("parts"),
        F.create_map(*used).alias("model_versions"),
    )


def _check(pairs: DataFrame, scores: Sequence[Score]) -> None:
    if missing := [name for name in ASKED if name not in pairs.columns]:
        raise InputError(f"pairs: no column {', '.join(missing)}; found {', '.join(pairs.columns)}")
    if taken := [name for name in ANSWERED if name in pairs.columns]:
        raise InputError(f"pairs: found a column {', '.join(taken)}, which scoring adds; rename it")
    if not scores:
        raise InputError("scores: found none; allowed: one or more")


def _name(*parts: str) -> str:
    """A column of our own, beside those of the pairs."""
    return "__twhin_" + "_".join(parts)


def _with_vectors(pairs: DataFrame, version: PinnedVersion) -> DataFrame:
    """The pairs with the representations of both ends in a family; null where an entity has none."""
    for end in ENDS:
        key = [_name("type"), _name("id")]
        vectors = version.rows.select(
            F.col("entity_type").alias(key[0]),
            F.col("entity_id").alias(key[1]),
            F.col("embedding").alias(_name(version.family, end)),
        )
        same = (pairs[f"{end}_type"] == F.col(key[0])) & (pairs[f"{end}_id"].cast("string") == F.col(key[1]))
        pairs = pairs.join(vectors, same, "left").drop(*key)
    return pairs


def _part(version: PinnedVersion, score: Score) -> Column:
    """The score of each row as a column."""
    relation = version.relation(score.relation) if score.relation else None
    measure = measure_name(score, version.kind, relation)
    source, target = (F.col(_name(version.family, end)) for end in ENDS)
    if relation is None:
        return measure_function(measure)(source, target)
    seen = (relation.operator, np.array(relation.parameters, np.float32))
    function = measure_function(measure, seen)
    return function(_checked(source, relation, "source"), _checked(target, relation, "target"))


def _checked(vector: Column, relation: Relation, end: str) -> Column:
    """The vectors of an end; one of a type that the relation does not allow is a mistake that ends the job."""
    allowed = relation.source_type if end == "source" else relation.target_type
    before, after = wrong_end(relation.relation, end, "\0", allowed).split("\0")
    found = F.col(f"{end}_type")
    mistake = F.raise_error(F.concat(F.lit(before), found, F.lit(after)))
    return F.when(found != F.lit(allowed), mistake).otherwise(vector)
