"""Generated logs of a small social network with planted communities."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from twhin_spark.cli.demo.defects import FOLLOW_DEFECTS, INTERACTION_DEFECTS
from twhin_spark.cli.demo.delivery import (
    ExpectedCounts,
    count,
    deliver,
    tweet_id,
    user_id,
    write_follows,
    write_interactions,
)
from twhin_spark.cli.demo.events import draw_follow_log, draw_interaction_log
from twhin_spark.cli.demo.population import SMALLEST_SCALE, Population, draw_population
from twhin_spark.errors import ConfigError


@dataclass(frozen=True)
class GeneratedLogs:
    """The content of `expected.json`: counts of entities, and of lines by log."""

    seed: int
    scale: float
    users: int
    tweets: int
    communities: int
    logs: dict[str, ExpectedCounts]


def generate(folder: Path, *, scale: float = 1.0, seed: int = 0) -> GeneratedLogs:
    """Write two logs and the planted truth; the same seed and scale give the same bytes.

    At scale 1: 20,000 users, 50,000 tweets, 1,000,000 events over 60 days, 64 communities.

        interactions/DATE.csv  favorite, unfavorite, retweet and reply events (user to tweet), one file a week
        follows.jsonl          follow and unfollow events (user to user)
        communities.parquet    entity_type, entity_id, community: the planted truth
        expected.json          GeneratedLogs: the lines that a reader must accept, drop as replays and reject

    Raises
    ------
    ConfigError
        `scale` is below 0.01.
    """
    if not SMALLEST_SCALE <= scale < math.inf:
        raise ConfigError(f"scale is {scale}, but must be {SMALLEST_SCALE} or more")
    rng = np.random.default_rng(seed)
    population = draw_population(rng, scale)
    interactions = deliver(rng, draw_interaction_log(rng, population, scale), INTERACTION_DEFECTS)
    follows = deliver(rng, draw_follow_log(rng, population, scale), FOLLOW_DEFECTS)

    write_interactions(interactions, folder / "interactions")
    write_follows(follows, folder / "follows.jsonl")
    _write_communities(population, folder / "communities.parquet")
    generated = GeneratedLogs(
        seed=seed,
        scale=float(scale),
        users=population.user_community.size,
        tweets=population.tweet_community.size,
        communities=population.communities,
        logs={
            "interactions": count(interactions, INTERACTION_DEFECTS),
            "follows": count(follows, FOLLOW_DEFECTS),
        },
    )
    (folder / "expected.json").write_text(json.dumps(asdict(generated), indent=2) + "\n", encoding="utf-8")
    return generated


def _write_communities(population: Population, path: Path) -> None:
    """Write entity_type, entity_id and community of every user and tweet, with events or without."""
    users, tweets = population.user_community, population.tweet_community
    truth = pd.DataFrame(
        {
            "entity_type": ["user"] * users.size + ["tweet"] * tweets.size,
            "entity_id": [*map(user_id, range(users.size)), *map(tweet_id, range(tweets.size))],
            "community": np.concatenate([users, tweets]).astype(np.int32),
        }
    )
    truth.to_parquet(path, index=False)
