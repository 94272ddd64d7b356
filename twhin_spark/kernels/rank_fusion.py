"""Reciprocal rank fusion: merging several ranked lists of a source into one.

G. Cormack, C. Clarke, S. Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods,
SIGIR 2009, with a weight for each list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Integers, number_within


@dataclass(frozen=True)
class RankedCandidates:
    """Candidates of any number of sources from one method.

    Attributes
    ----------
    source, target, rank
        A candidate each, (n,); ranks begin with 1 for each source.
    """

    source: Integers
    target: Integers
    rank: Integers


@dataclass(frozen=True)
class FusedCandidates:
    """Merged candidates, sorted by source and rank.

    Attributes
    ----------
    source, target, rank, score
        A candidate each, (n,); ranks begin with 1 for each source.
    starts
        (n + 1,): the lists that name candidate i are `lists[starts[i]:starts[i + 1]]`.
    lists, ranks
        Numbers of lists, and the candidate's ranks in them, (t,) each.
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
    """Merge lists into the k targets of each source with the highest Σ weight / (constant + rank).

    Parameters
    ----------
    lists
        Ranked lists; a list names a target of a source at most once.
    weights
        Weight of each list.
    constant
        The constant of the formula; the paper uses 60.
    k
        The most candidates of a source.
    key
        Order of targets with equal scores, (targets,); equal keys are ordered by target number.

    Examples
    --------
    With weights 1 and constant 60, the lists (x, y) and (y, z) of one source give y 1/62 + 1/61, x 1/61 and z 1/62. The
    result has the targets y, x, z, and names the lists of each: starts [0, 2, 3, 4], lists [0, 1, 0, 1], ranks
    [2, 1, 1, 2].
    """
    source, target, rank = (
        np.concatenate([getattr(ranked, name) for ranked in lists]) for name in ("source", "target", "rank")
    )
    number = np.repeat(np.arange(len(lists)), [len(ranked.source) for ranked in lists])
    order = np.lexsort((number, target, source))
    source, target, rank, number = source[order], target[order], rank[order], number[order]
    is_new = np.ones(len(source), bool)
    is_new[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
    first = np.flatnonzero(is_new)  # (merged candidates,) the first entry of each
    parts = np.asarray(weights, np.float64)[number] / (constant + rank)
    score = np.add.reduceat(parts, first) if len(first) else np.zeros(0)
    size = np.diff(np.append(first, len(source)))
    best = np.lexsort((target[first], key[target[first]], -score, source[first]))
    position = number_within(source[first][best])
    best, position = best[position < k], position[position < k]
    size = size[best]
    starts = np.concatenate([[0], np.cumsum(size)])
    entries = np.repeat(first[best] - starts[:-1], size) + np.arange(starts[-1])
    return FusedCandidates(
        source[first][best], target[first][best], position + 1, score[best], starts, number[entries], rank[entries]
    )
