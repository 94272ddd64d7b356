from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.published_tables import Tables
from tests.support.sql_tables import published_config
from twhin_spark.errors import InputError
from twhin_spark.sql.content_clusters import cluster_content

TOPICS, EACH, DIM = 4, 12, 4


def test_users_and_items_are_described_by_clusters_and_their_typical_members(
    spark: SparkSession, tables: Tables
) -> None:
    """Tweets have four topics. The vector of `fan` points to a topic only after `favorite`, which adds ones."""
    rng = np.random.default_rng(0)
    tweets = {}
    for topic in range(TOPICS):
        tweets[f"t{topic}-core"] = np.eye(DIM)[topic] * 7
        for i in range(1, EACH):
            tweets[f"t{topic}-{i:02d}"] = np.eye(DIM)[topic] + 0.1 * rng.standard_normal(DIM)
    users = {"fan": 5 * np.eye(DIM)[2] - 1, "other": 5 * np.eye(DIM)[1]}
    entities = {"user": users, "tweet": tweets}
    tables.publish(
        "m1",
        {entity_type: {name: v.tolist() for name, v in members.items()} for entity_type, members in entities.items()},
    )
    config = published_config(tables.output)
    content = cluster_content(spark, config, "tweet", clusters=TOPICS, typical=3)
    assert [cluster.size for cluster in content.clusters] == [EACH] * TOPICS
    for relation, user, topic in (("favorite", "fan", 2), (None, "other", 1)):
        cosine, cluster = content.describe("user", user, relation=relation)[0]
        assert cosine > 0.95
        assert {name.split("-")[0] for name in cluster.typical} == {f"t{topic}"}
        centroid = np.mean(
            [v / np.linalg.norm(v) for name, v in tweets.items() if name.startswith(f"t{topic}")], axis=0
        )
        by_cosine = sorted(tweets, key=lambda name: -tweets[name] @ centroid / np.linalg.norm(tweets[name]))
        assert list(cluster.typical) == by_cosine[:3]
    assert "t3" in content.describe("tweet", "t3-core", count=1)[0][1].typical[0]
    for wrong, line in (
        (lambda: content.describe("user", "nobody"), "user 'nobody' has no vector in version m1"),
        (lambda: content.describe("user", "fan", relation="likes"), "unknown relation 'likes'; use one of favor"),
        (
            lambda: content.describe("tweet", "t0-core", relation="favorite"),
            "requires a source of type 'user'",
        ),
        (lambda: cluster_content(spark, config, "bot"), "unknown entity type 'bot'; use one of tweet, user"),
        (
            lambda: cluster_content(spark, config, "user", clusters=3),
            "clusters: the number of clusters must be from 1 to 2, the number of vectors that are not zero, but is 3",
        ),
    ):
        with pytest.raises(InputError, match=line):
            wrong()
