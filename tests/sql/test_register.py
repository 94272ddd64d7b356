from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import twhin_spark.sql
from tests.support.published_tables import Tables, vectors
from tests.support.sql_tables import N, SqlTables, published_config
from twhin_spark.errors import InputError
from twhin_spark.sql.pinned_version import pin_version
from twhin_spark.sql.register import register

FOLDER = Path(twhin_spark.sql.__file__).parent


def test_one_call_registers_views_and_functions(spark: SparkSession, published: SqlTables) -> None:
    session = spark.newSession()
    names = register(session, published.config)
    assert register(session, published.config) == names  # registering again replaces them
    catalogue = {row["tableName"] for row in session.sql("SHOW TABLES").collect()}
    catalogue |= {row["function"] for row in session.sql("SHOW USER FUNCTIONS").collect()}
    assert {*names} <= catalogue
    assert {"twhin_vectors", "twhin_user", "twhin_tweet", "twhin_dot", "twhin_cosine", "twhin_score"} <= {*names}
    row = session.sql(
        "SELECT twhin_dot(array(1, 2), array(3.5D, 4)) AS dot, twhin_cosine(array(0F), array(1F)) AS zero, "
        "twhin_dot(NULL, array(1F)) AS missing, twhin_score(array(1F), NULL, array(1F)) AS no_relation"
    ).first()
    assert row is not None
    assert (row["dot"], row["zero"], row["missing"], row["no_relation"]) == (11.5, 0, None, None)


def test_functions_sort_and_filter(spark: SparkSession, published: SqlTables) -> None:
    session = spark.newSession()
    register(session, published.config)
    rows = session.sql(
        """
        SELECT t.entity_id, twhin_score(u.embedding, 'favorite', t.embedding) AS score
        FROM twhin_user AS u CROSS JOIN twhin_tweet AS t
        WHERE u.entity_id = 'u3' AND twhin_score(u.embedding, 'favorite', t.embedding) > 0 ORDER BY score DESC
        """
    ).collect()
    scores = vectors(1002, N).astype(float) @ (vectors(2, N)[3].astype(float) + 1)
    expected = sorted(((score, f"t{i}") for i, score in enumerate(scores) if score > 0), reverse=True)
    assert [row["entity_id"] for row in rows] == [name for _, name in expected]
    with pytest.raises(PySparkException, match="unknown relation 'likes'; SELECT relation FROM twhin_relations"):
        session.sql("SELECT twhin_score(embedding, 'likes', embedding) FROM twhin_user").collect()


def test_the_views_run_without_this_package_and_follow_a_rollback(spark: SparkSession, tables: Tables) -> None:
    """Run the files unchanged, with the variables that they name, in a session with Delta alone."""
    first = tables.publish("m1", seed=1, n=N)
    session = spark.newSession()
    session.sql(f"SET tables={tables.output / 'tables'}")
    session.sql("SET type=tweet")
    for name in ("views.sql", "views_by_type.sql"):
        lines = [line for line in (FOLDER / name).read_text().splitlines() if not line.startswith("--")]
        for statement in "\n".join(lines).split(";"):
            if statement.strip():
                session.sql(statement)

    def current() -> tuple[set[str], set[str], list[str]]:
        vectors_ = {row["model_version"] for row in session.sql("SELECT model_version FROM twhin_tweet").collect()}
        relations = {row["model_version"] for row in session.sql("SELECT * FROM twhin_relations").collect()}
        versions = session.sql("SELECT model_version FROM twhin_versions WHERE is_current").collect()
        return vectors_, relations, [row["model_version"] for row in versions]

    assert session.sql("SELECT * FROM twhin_tweet").count() == N
    assert current() == ({"m1"}, {"m1"}, ["m1"])
    tables.publish("m2", seed=2, n=N)
    assert current() == ({"m2"}, {"m2"}, ["m2"])
    tables.roll_back(first)
    assert current() == ({"m1"}, {"m1"}, ["m1"])
    assert session.sql("SELECT * FROM twhin_versions").count() == 2


def test_relations_of_older_tables_compare_by_dot(spark: SparkSession, tables: Tables) -> None:
    config, query = published_config(tables.output), "SELECT relation, comparator FROM twhin_relations"
    first = tables.publish("m1", seed=1, n=N, comparators=False)
    session = spark.newSession()
    register(session, config)
    old = dict.fromkeys(("favorite", "same", "stretched", "turned", "twin"), "dot")

    def comparators() -> tuple[dict[str, str], dict[str, str]]:
        relations = pin_version(session, config).relations
        return dict(session.sql(query).collect()), {name: relation.comparator for name, relation in relations.items()}

    assert comparators() == (old, old)  # without the column
    tables.publish("m2", seed=2, n=N)
    register(session, config)
    assert comparators() == (new := {**old, "twin": "cosine"}, new)
    tables.roll_back(first)
    assert comparators() == (old, old)  # null in the column


def test_nothing_is_published(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="embeddings: no Delta table; run `twhin-spark publish` to write it"):
        register(spark, published_config(tmp_path))
