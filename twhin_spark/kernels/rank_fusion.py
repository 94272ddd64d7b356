"""Reciprocal rank fusion: several ranked lists of one source become one.

G. Cormack, C. Clarke, S. Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods,
SIGIR 2009; here with a weight for each list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Integers, number_within


@dataclass(frozen=True)
class RankedCandidates:
    """One list's candidates of any number of sources: source, target and rank (from 1), (n,) each."""

    source: Integers
    target: Integers
    rank: Integers


@dataclass(frozen=True)
class FusedCandidates:
    """Merged candidates, by source, then rank: source, target, rank and score (n,).

    starts (n + 1,) and lists, ranks (t,): candidate i was found by the lists from starts[i] on, with these ranks there.
    """

    source: Integers
    target: Integers
    rank: Integers
    score: NDArray[np.float64]
    starts: Integers
    lists: Integers
    ranks: Integers


def fuse(
    lists: Sequence[RankedCandidates], weights: Sequence[float], constant: float, k: int, key: NDArray[np.int64]
) -> FusedCandidates:
    """The k candidates of each source with the highest Σ weight / (constant + rank), each target once.

    Equal scores come in the order of key (targets,), then of targets.
    """
    source, target, rank = (
        np.concatenate([getattr(one, name) for one in lists]) for name in ("source", "target", "rank")
    )
    number = np.repeat(np.arange(len(lists)), [len(one.source) for one in lists])
    order = np.lexsort((number, target, source))
    source, target, rank, number = source[order], target[order], rank[order], number[order]
    new = np.ones(len(source), bool)
    new[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
    first = np.flatnonzero(new)  # of each merged candidate, the first list's
    parts = np.asarray(weights, np.float64)[number] / (constant + rank)
    score = np.add.reduceat(parts, first) if len(first) else np.zeros(0)
    size = np.diff(np.append(first, len(source)))
    best = np.lexsort((target[first], key[target[first]], -score, source[first]))
    place = number_within(source[first][best])
    best, place = best[place < k], place[place < k]
    size = size[best]
    starts = np.concatenate([[0], np.cumsum(size)])
    every = np.repeat(first[best] - starts[:-1], size) + np.arange(starts[-1])
    return FusedCandidates(
        source[first][best], target[first][best], place + 1, score[best], starts, number[every], rank[every]
    )
