from __future__ import annotations

import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.support.published_tables import Tables, vectors
from tests.support.sql_tables import N, SqlTables, published_config
from twhin_spark.config.serving import Score
from twhin_spark.errors import InputError
from twhin_spark.sql.pinned_version import pin_version
from twhin_spark.sql.score_pairs import score_pairs


def pairs(spark: SparkSession, *rows: tuple[str | None, ...]) -> DataFrame:
    return spark.createDataFrame(rows, "source_type STRING, source_id STRING, target_type STRING, target_id STRING")


def test_rows_keep_their_columns_and_versions_are_chosen(spark: SparkSession, published: SqlTables) -> None:
    rows = pairs(spark, ("user", "u1", "tweet", "t2"), ("user", None, "tweet", "t2"), ("bot", "u1", "tweet", "t2"))
    rows = rows.selectExpr("*", "'kept' AS embedding")
    scored = score_pairs(spark, published.config, rows, [Score(measure="dot")], versions={"twhin": "m1"})
    assert scored.columns == [*rows.columns, "score", "parts", "model_versions"]
    first, *missing = scored.orderBy("source_id", "source_type", ascending=[False, False]).collect()
    expected = vectors(1, N)[1].astype(float) @ vectors(1001, N)[2]
    assert first["score"] == pytest.approx(expected)
    assert (first["embedding"], first["model_versions"]) == ("kept", {"twhin": "m1"})
    assert [row["score"] for row in missing] == [None, None]


def test_invalid_arguments_fail_before_spark_runs(spark: SparkSession, published: SqlTables) -> None:
    pair = pairs(spark, ("user", "u1", "tweet", "t2"))
    for scores, versions, line in (
        ([Score(measure="jaccard")], {}, "unknown measure 'jaccard' for a dense family; use one of cosine"),
        ([Score(family="communities", measure="hamming")], {}, "unknown measure 'hamming' for a sparse family"),
        ([Score(relation="likes")], {}, "unknown relation 'likes'; use one of favorite"),
        ([Score(family="else")], {}, "family 'else' is not in serving.families; use one of communities, twhin"),
        ([Score()], {"twhin": "m9"}, "version 'm9' was not published; use one of current, m1, m2"),
        ([Score(family="communities")], {"communities": "m1"}, "version 'm1' is unknown; use 'current'"),
        ([], {}, "scores is empty"),
    ):
        with pytest.raises(InputError, match=line):
            score_pairs(spark, published.config, pair, scores, versions=versions)
    with pytest.raises(InputError, match="column target_id is required; the columns are source_type, source_id"):
        score_pairs(spark, published.config, pair.drop("target_id"))
    with pytest.raises(InputError, match="column score is added by scoring"):
        score_pairs(spark, published.config, pair.selectExpr("*", "1 AS score"))


def test_an_end_of_a_wrong_type_fails_the_job(spark: SparkSession, published: SqlTables) -> None:
    wrong = pairs(spark, ("user", "u1", "tweet", "t2"), ("user", "u1", "user", "u2"))
    with pytest.raises(PySparkException, match="relation 'favorite' requires a target of type 'tweet', not 'user'"):
        score_pairs(spark, published.config, wrong, [Score(relation="favorite")]).collect()


def test_a_version_is_pinned_and_a_rollback_followed(spark: SparkSession, tables: Tables) -> None:
    config = published_config(tables.output)
    with pytest.raises(InputError, match="embeddings: no Delta table; run `twhin-spark publish` to write it"):
        pin_version(spark, config)
    first = tables.publish("m1", seed=1, n=N)
    pinned = pin_version(spark, config)
    scored = score_pairs(spark, config, pairs(spark, ("user", "u0", "tweet", "t0")), [Score(measure="dot")])
    tables.publish("m2", seed=2, n=N)
    assert {row["model_version"] for row in pinned.rows.collect()} == {"m1"}
    assert scored.first()["score"] == pytest.approx(vectors(1, N)[0].astype(float) @ vectors(1001, N)[0])
    assert pin_version(spark, config).model_version == "m2"
    tables.roll_back(first)
    assert pin_version(spark, config).model_version == "m1"
    assert np.allclose(
        pin_version(spark, config, "m2").rows.where("entity_id = 'u0'").first()["embedding"], vectors(2, N)[0]
    )


def test_pairs_are_scored_in_the_space_of_an_earlier_version(spark: SparkSession, tables: Tables) -> None:
    """The vectors are mapped, and the relations are those of the earlier version."""
    config, matrix = published_config(tables.output), np.random.default_rng(0).normal(size=(4, 4))
    tables.publish("m1", seed=1, n=N)
    tables.publish("m2", seed=2, n=N)
    tables.publish_maps({("m2", "m1"): matrix})
    scored = score_pairs(
        spark, config, pairs(spark, ("user", "u0", "tweet", "t0")), [Score(relation="favorite")], space="m1"
    )
    user, tweet = (vectors(seed, N)[0].astype(float) @ matrix for seed in (2, 1002))
    row = scored.first()
    assert row["score"] == pytest.approx((user + 1) @ tweet, rel=1e-5)
    assert row["model_versions"] == {"twhin": "m2"}
    with pytest.raises(InputError, match="space: version 'gold' was not published"):
        pin_version(spark, config, space="gold")
