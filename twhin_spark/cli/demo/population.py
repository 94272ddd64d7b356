"""The planted population: users and tweets in communities of unequal size.

All rates are lognormal. There are hubs: 1% of the tweets receive a sixth of all engagement. Still, the most popular
tweets of a community are far better predictions for its members than those of the whole network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY = 86_400  # seconds
END = int(np.datetime64("2026-07-01T00:00:00", "s").astype(np.int64))  # Unix seconds; no event at or after it
START = END - 60 * DAY  # no event before it

SMALLEST_SCALE = 0.01  # below it, communities have fewer pairs of members than events
USERS, TWEETS, COMMUNITIES = 20_000, 50_000, 64  # at scale 1
COMMUNITY_SIZE_SIGMA = 0.4
ACTIVITY_SIGMA = 1.0
FAME_SIGMA = 1.2
APPEAL_SIGMA = 1.4
TWEETS_BEFORE_START_DAYS = 60
MEAN_AGE_DAYS = 30.0  # of a tweet when somebody engages with it


@dataclass(frozen=True)
class Population:
    """n users and m tweets; an entity is identified by its index."""

    communities: int
    user_community: NDArray[np.int64]  # (n,)
    activity: NDArray[np.float64]  # (n,) relative rate at which a user acts
    fame: NDArray[np.float64]  # (n,) relative rate at which a user is followed
    tweet_community: NDArray[np.int64]  # (m,) that of the tweet's author
    created: NDArray[np.int64]  # (m,) Unix seconds
    appeal: NDArray[np.float64]  # (m,) relative rate at which a tweet is engaged with between START and END


def draw_population(rng: np.random.Generator, scale: float) -> Population:
    """Draw users and tweets in proportion to `scale`; number and size of the communities grow with its square root."""
    communities = round(COMMUNITIES * scale**0.5)
    user_community = draw_communities(rng, round(USERS * scale), communities)
    activity = heavy_tail(rng, user_community.size, ACTIVITY_SIGMA)
    author = rng.choice(user_community.size, size=round(TWEETS * scale), p=activity / activity.sum())
    created = rng.integers(START - TWEETS_BEFORE_START_DAYS * DAY, END, size=author.size)
    return Population(
        communities=communities,
        user_community=user_community,
        activity=activity,
        fame=heavy_tail(rng, user_community.size, FAME_SIGMA),
        tweet_community=user_community[author],
        created=created,
        appeal=heavy_tail(rng, author.size, APPEAL_SIGMA) * share_of_life_in_window(created),
    )


def draw_communities(rng: np.random.Generator, count: int, communities: int) -> NDArray[np.int64]:
    """Return the community of each user, (count,); the communities' shares are lognormal."""
    share = heavy_tail(rng, communities, COMMUNITY_SIZE_SIGMA)
    return rng.choice(communities, size=count, p=share / share.sum())


def heavy_tail(rng: np.random.Generator, count: int, sigma: float) -> NDArray[np.float64]:
    """Return lognormal weights of mean 1, (count,): exp(N(-sigma²/2, sigma²))."""
    return rng.lognormal(-(sigma**2) / 2, sigma, size=count)


def share_of_life_in_window(created: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each tweet's engagement that lies in the window, (m,). Ages are exponentially distributed.

    Without this factor, a tweet of the last day would receive as many events in a day as another in weeks, and most of
    the last events would go to tweets without earlier events.
    """
    age_at_start = np.maximum(START - created, 0) / (MEAN_AGE_DAYS * DAY)
    age_at_end = (END - created) / (MEAN_AGE_DAYS * DAY)
    return np.asarray(np.exp(-age_at_start) - np.exp(-age_at_end))
