"""The Representation Scorer in batch: `score` columns for a DataFrame of pairs, with the same numbers as the service.

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
from twhin_spark.representations.published_family import DEFAULT_FAMILY
from twhin_spark.representations.similarity_measures import end_type_error, resolve_measure
from twhin_spark.representations.version_lookup import CURRENT, PublishedRelation
from twhin_spark.sql.functions import measure_function
from twhin_spark.sql.pinned_version import PinnedVersion, pin_version

ENDS = ("source", "target")
PAIR_COLUMNS = tuple(f"{end}_{part}" for end in ENDS for part in ("type", "id"))
SCORE_COLUMNS = ("score", "parts", "model_versions")


def score_pairs(
    spark: SparkSession,
    config: Config,
    pairs: DataFrame,
    scores: Sequence[Score] = (Score(),),
    *,
    versions: Mapping[str, str] | None = None,
    space: str | None = None,
) -> DataFrame:
    """Return the pairs with their scores in added columns.

    Parameters
    ----------
    spark
        A session of `open_session`, or one with the same settings.
    config
        The config whose output is read.
    pairs
        Columns source_type, source_id, target_type, target_id, and any others. Duplicates are allowed.
    scores
        Scores to add with their weights; by default the cosine.
    versions
        Model version or alias by family; the current version of other families. This call pins the versions.
    space
        Model version or tag in whose space the vectors of the family `twhin` are compared, with its relations; None: as
        they are.

    Returns
    -------
    DataFrame
        The columns of `pairs` and: score, double, the weighted sum, null if an entity has no representation; parts,
        array<double>, each score before its weight; model_versions, map of family to the version of all rows.

    Raises
    ------
    InputError
        A column is missing, or a family, version, relation or measure is unknown. If an end of a pair has another type
        than the relation requires, or the vectors' lengths differ, the Spark job fails with a line that says so.
    """
    _check(pairs, scores)
    requested = versions or {}
    names = dict.fromkeys(name for score in scores for name in (score.family, score.target_family or score.family))
    families = {
        name: pin_version(
            spark, config, requested.get(name, CURRENT), name, space=space if name == DEFAULT_FAMILY else None
        )
        for name in names
    }
    rows = reduce(_with_vectors, families.values(), pairs)
    parts = {_column("part", str(i)): _part(families, score) for i, score in enumerate(scores)}
    # The sum starts from zero and keeps the order, as `weighted_sum` does, so that the bits agree.
    weighted = (F.lit(score.weight) * F.col(part) for score, part in zip(scores, parts, strict=True))
    used = [F.lit(text) for family in families.values() for text in (family.family, family.model_version)]
    return rows.withColumns(parts).select(
        *pairs.columns,
        reduce(add, weighted, F.lit(0.0)).alias("score"),
        F.array(*parts).alias("parts"),
        F.create_map(*used).alias("model_versions"),
    )


def _check(pairs: DataFrame, scores: Sequence[Score]) -> None:
    if missing := [name for name in PAIR_COLUMNS if name not in pairs.columns]:
        raise InputError(f"pairs: column {', '.join(missing)} is required; the columns are {', '.join(pairs.columns)}")
    if reserved := [name for name in SCORE_COLUMNS if name in pairs.columns]:
        raise InputError(f"pairs: column {', '.join(reserved)} is added by scoring; rename your column")
    if not scores:
        raise InputError("scores is empty; one or more scores are required")


def _column(*parts: str) -> str:
    """Return the name of a temporary column beside those of the pairs."""
    return "__twhin_" + "_".join(parts)


def _with_vectors(pairs: DataFrame, version: PinnedVersion) -> DataFrame:
    """Return the pairs with both ends' representations in a family, null if an entity has none."""
    for end in ENDS:
        key = [_column("type"), _column("id")]
        vectors = version.rows.select(
            F.col("entity_type").alias(key[0]),
            F.col("entity_id").alias(key[1]),
            F.col("embedding").alias(_column(version.family, end)),
        )
        same = (pairs[f"{end}_type"] == F.col(key[0])) & (pairs[f"{end}_id"].cast("string") == F.col(key[1]))
        pairs = pairs.join(vectors, same, "left").drop(*key)
    return pairs


def _part(families: Mapping[str, PinnedVersion], score: Score) -> Column:
    """Return the score of each row as a column."""
    version, other = families[score.family], families[score.target_family or score.family]
    if version.kind != other.kind:
        kinds = f"{version.kind} and {other.kind}"
        raise InputError(f"families '{version.family}' and '{other.family}' are {kinds}; both must be of one kind")
    relation = version.relation(score.relation) if score.relation else None
    measure = resolve_measure(score, version.kind, relation)
    source, target = F.col(_column(version.family, "source")), F.col(_column(other.family, "target"))
    if relation is None:
        return measure_function(measure)(source, target)
    function = measure_function(measure, (relation.operator, np.array(relation.parameters, np.float32)))
    return function(_checked(source, relation, "source"), _checked(target, relation, "target"))


def _checked(vector: Column, relation: PublishedRelation, end: str) -> Column:
    """Return the vectors of an end. A vector of another type than the relation requires ends the job with an error."""
    required = relation.source_type if end == "source" else relation.target_type
    before, after = end_type_error(relation.relation, end, "\0", required).split("\0")
    entity_type = F.col(f"{end}_type")
    error = F.raise_error(F.concat(F.lit(before), entity_type, F.lit(after)))
    return F.when(entity_type != F.lit(required), error).otherwise(vector)
