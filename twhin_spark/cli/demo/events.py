"""The events of a planted population, all of them valid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twhin_spark.cli.demo.population import DAY, END, MEAN_AGE_DAYS, START, Population

EVENTS = 1_000_000  # at scale 1
SHARES = {  # of the relations in all events
    "follow": 0.20,
    "unfollow": 0.01,
    "favorite": 0.45,
    "unfavorite": 0.02,
    "retweet": 0.20,
    "reply": 0.12,
}
INSIDE_SHARE = 0.85  # of all targets are drawn from the source's own community, the others from everywhere
WEIGHT_SIGMA = 0.5
RETRACTION_DAYS = 5.0  # mean time from a follow or favorite to its retraction

Indices = NDArray[np.int64]


class WeightedMembers:
    """A sampler of entities in proportion to their weights, from one community or from all.

    Example: members of weights 1, 2 and 1 own the intervals [0, 1), [1, 3) and [3, 4). If the first two are of
    community 0, its interval is [0, 3); a uniform number of it, such as 2.5, draws the second member.
    """

    def __init__(self, community: Indices, weight: NDArray[np.float64], communities: int) -> None:
        """Take the `community` and the `weight` of each entity, (n,)."""
        self._members = np.argsort(community, kind="stable")  # (n,) grouped by community
        # Member k owns the interval ends[k] to ends[k + 1], community c bounds[c] to bounds[c + 1].
        self._ends = np.append(0.0, np.cumsum(weight[self._members]))  # (n + 1,)
        first = np.searchsorted(community[self._members], np.arange(communities + 1))
        self._bounds = self._ends[first]  # (communities + 1,)

    def draw(self, rng: np.random.Generator, community: Indices, inside: NDArray[np.bool_]) -> Indices:
        """Return entities, (k,): of `community` (k,) if `inside` (k,), else of any community.

        A draw from a community without members is made from all communities.
        """
        low, high = self._bounds[community], self._bounds[community + 1]
        inside = inside & (low < high)
        low, high = np.where(inside, low, 0.0), np.where(inside, high, self._ends[-1])
        point = low + rng.random(community.size) * (high - low)
        owner = np.searchsorted(self._ends, point, side="right") - 1
        owner = np.minimum(owner, self._members.size - 1)  # a point may be rounded up to the very end
        chosen: Indices = self._members[owner]
        return chosen


def draw_follow_log(rng: np.random.Generator, population: Population, scale: float) -> pd.DataFrame:
    """Return the follow and unfollow events (user to user), sorted by time; a user follows another at most once.

    Columns: relation, source and target (indices), time (Unix seconds).
    """
    famous = WeightedMembers(population.user_community, population.fame, population.communities)
    source, target = _draw_pairs(rng, population, famous, _count("follow", scale), distinct=True, loops=False)
    follows = _frame("follow", source, target, rng.integers(START, END, size=source.size))
    return _by_time(follows, _retract(rng, follows, "unfollow", scale))


def draw_interaction_log(rng: np.random.Generator, population: Population, scale: float) -> pd.DataFrame:
    """Return the favorite, unfavorite, retweet and reply events (user to tweet), sorted by time.

    Columns: those of the follow log, and weight. A user favorites and retweets a tweet at most once, but may
    reply to it many times.
    """
    appealing = WeightedMembers(population.tweet_community, population.appeal, population.communities)
    frames = {}
    for relation in ("favorite", "retweet", "reply"):
        source, target = _draw_pairs(
            rng, population, appealing, _count(relation, scale), distinct=relation != "reply", loops=True
        )
        time = _engagement_times(rng, population.created[target])
        frames[relation] = _frame(relation, source, target, time)
    unfavorites = _retract(rng, frames["favorite"], "unfavorite", scale)
    log = _by_time(*frames.values(), unfavorites)
    return log.assign(weight=rng.lognormal(-(WEIGHT_SIGMA**2) / 2, WEIGHT_SIGMA, size=len(log)))  # mean 1


def _count(relation: str, scale: float) -> int:
    return round(EVENTS * scale * SHARES[relation])


def _draw_pairs(
    rng: np.random.Generator,
    population: Population,
    targets: WeightedMembers,
    count: int,
    *,
    distinct: bool,
    loops: bool,
) -> tuple[Indices, Indices]:
    """Return sources, drawn by activity, and their targets, (count,) each; unless `loops`, no source is its target."""
    share = population.activity / population.activity.sum()

    def draw(size: int) -> tuple[Indices, Indices]:
        source = rng.choice(share.size, size=size, p=share)
        inside = rng.random(size) < INSIDE_SHARE
        target = targets.draw(rng, population.user_community[source], inside)
        keep = np.full(size, True) if loops else source != target
        return source[keep], target[keep]

    return _first_distinct(draw, count) if distinct else draw(count)


def _first_distinct(draw: Callable[[int], tuple[Indices, Indices]], count: int) -> tuple[Indices, Indices]:
    """Return the first `count` distinct pairs of an endless stream of pairs, in the order of the stream."""
    pairs = np.empty((0, 2), np.int64)
    while len(pairs) < count:
        missing = count - len(pairs)
        pairs = np.concatenate([pairs, np.column_stack(draw(missing + missing // 4 + 16))])
        _, first = np.unique(pairs[:, 0] << 32 | pairs[:, 1], return_index=True)
        pairs = pairs[np.sort(first)]
    return pairs[:count, 0], pairs[:count, 1]


def _engagement_times(rng: np.random.Generator, created: Indices) -> Indices:
    """Return Unix seconds in [START, END), (k,), at which tweets `created` (k,) have exponentially distributed ages."""
    youngest = np.maximum(START - created, 0)
    return created + _truncated_exponential(rng, youngest, END - created, MEAN_AGE_DAYS * DAY)


def _retract(rng: np.random.Generator, events: pd.DataFrame, relation: str, scale: float) -> pd.DataFrame:
    """Return retractions of some events, each after its event."""
    early = np.flatnonzero(events["time"] < END - DAY)  # leaves time for the retraction
    retracted = events.iloc[np.sort(rng.choice(early, size=_count(relation, scale), replace=False))]
    time = retracted["time"].to_numpy(np.int64)
    delay = _truncated_exponential(rng, np.ones_like(time), END - time, RETRACTION_DAYS * DAY)
    return retracted.assign(relation=relation, time=time + delay)


def _truncated_exponential(rng: np.random.Generator, low: Indices, high: Indices, mean: float) -> Indices:
    """Return integers in [low, high), (k,), exponentially distributed, by inverting the distribution function."""
    upper, lower = np.exp(-low / mean), np.exp(-high / mean)
    value: Indices = (-mean * np.log(upper - rng.random(low.size) * (upper - lower))).astype(np.int64)
    return np.clip(value, low, high - 1)  # rounding may pass an end


def _frame(relation: str, source: Indices, target: Indices, time: Indices) -> pd.DataFrame:
    return pd.DataFrame({"relation": relation, "source": source, "target": target, "time": time})


def _by_time(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(frames).sort_values("time", kind="stable", ignore_index=True)
