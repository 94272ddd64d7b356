"""The contract: Spark's score columns, the SQL functions and the service give the same numbers from the same tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.service_client import Caller, running
from tests.support.sql_tables import N, SqlTables
from twhin_spark.config.serving import Score
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES
from twhin_spark.sql.register import register
from twhin_spark.sql.score_pairs import score_pairs

TOLERANCE = 1e-6
RELATIONS = ("favorite", "same", "stretched", "turned", "twin")  # one of each operator, and a cosine
SCORES = [
    *(Score(measure=measure, weight=0.3) for measure in DENSE_MEASURES),
    *(Score(relation=relation, weight=-0.7) for relation in RELATIONS),
    Score(relation="favorite", measure="cosine", weight=2.0),
    *(Score(measure=measure, family="communities", weight=0.5) for measure in SPARSE_MEASURES),
]


@pytest.fixture(scope="module")
def pairs() -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Return pairs of a user and a tweet, some of them twice, some without a representation."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, N + 2, (120, 2)).tolist()  # u20, u21, t20 and t21 are unknown
    return [(("user", f"u{i}"), ("tweet", f"t{j}")) for i, j in [*drawn, *drawn[:5]]]


@pytest.fixture(scope="module")
def service(published: SqlTables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with running(tmp_path_factory.mktemp("stores"), [published.tables.family, published.communities]) as caller:
        caller.wait_for_version("m2")
        caller.wait_for(lambda _: caller.get("/ready").status == 200)
        yield caller


def as_floats(values: list[float | None]) -> np.ndarray:
    """Replace null by NaN; fail if a value is NaN."""
    assert not any(value is not None and np.isnan(value) for value in values)
    return np.array([np.nan if value is None else value for value in values])


def test_spark_sql_and_the_service_agree(
    spark: SparkSession, published: SqlTables, service: Caller, pairs: list[tuple[tuple[str, str], tuple[str, str]]]
) -> None:
    body = {"pairs": pairs, "parts": True, "scores": [score.model_dump() for score in SCORES]}
    response = service.post("/v1/scores/pairs", body).json
    online = np.array([as_floats(part) for part in response["parts"]])  # (scores, pairs)
    missing = np.isnan(online[0])
    assert 0 < missing.sum() < len(pairs)

    rows = [(i, *source, *target) for i, (source, target) in enumerate(pairs)]
    frame = spark.createDataFrame(
        rows, "pair INT, source_type STRING, source_id STRING, target_type STRING, target_id STRING"
    )
    scored = score_pairs(spark, published.config, frame, SCORES).orderBy("pair").collect()
    batch = np.array([as_floats(row["parts"]) for row in scored]).T
    np.testing.assert_allclose(batch, online, atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_array_equal(as_floats([row["score"] for row in scored]), as_floats(response["scores"]))
    assert {tuple(sorted(row["model_versions"].items())) for row in scored} == {
        tuple(sorted(response["model_versions"].items()))
    }

    register(spark, published.config)
    frame.createOrReplaceTempView("pairs")
    spark.read.format("delta").load(published.communities.table).createOrReplaceTempView("communities")
    queries = {_in_sql(score): part for score, part in zip(SCORES, online, strict=True) if _in_sql(score)}
    assert len(queries) == len(SCORES) - 1
    sql_rows = spark.sql(
        f"""
        SELECT {", ".join(queries)} FROM pairs
        LEFT JOIN twhin_user AS u ON u.entity_id = source_id LEFT JOIN twhin_tweet AS t ON t.entity_id = target_id
        LEFT JOIN communities AS cu ON cu.entity_type = source_type AND cu.entity_id = source_id
        LEFT JOIN communities AS ct ON ct.entity_type = target_type AND ct.entity_id = target_id
        ORDER BY pair
        """
    ).collect()
    for column, (query, expected) in enumerate(queries.items()):
        scores = as_floats([row[column] for row in sql_rows])
        np.testing.assert_allclose(scores, expected, atol=TOLERANCE, rtol=TOLERANCE, err_msg=query)


def _in_sql(score: Score) -> str | None:
    """Return the score as an SQL expression, or None if there is no function for it."""
    if score.family == "communities":
        return f"twhin_{score.measure}(cu.embedding, ct.embedding)"
    if score.relation is None:
        return f"twhin_{score.measure}(u.embedding, t.embedding)"
    return None if score.measure else f"twhin_score(u.embedding, '{score.relation}', t.embedding)"
