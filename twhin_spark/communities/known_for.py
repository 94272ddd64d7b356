"""KnownFor: the search for communities of producers, and their ids from version to version. On the driver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from twhin_spark.config.communities import KnownForConfig
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.communities import (
    affiliations,
    find_communities,
    known_for_graph,
    quality,
    walk_communities,
)

NO_COMMUNITY = -1


@dataclass(frozen=True)
class KnownFor:
    """The communities of n producers.

    Attributes
    ----------
    community
        int64 (n,): NO_COMMUNITY for a producer that is alone.
    affiliation, weight
        float64 (n,): how strongly a producer belongs to its community, and the same in columns of length 1.
    quality
        The objective that was reached.
    """

    community: Integers
    affiliation: NDArray[np.float64]
    weight: NDArray[np.float64]
    quality: float


def search(matrix: sparse.csr_array, settings: KnownForConfig, resolution: float, before: Integers) -> KnownFor:
    """Search for the best communities; their numbers have no meaning yet.

    Parameters
    ----------
    matrix
        Symmetric CSR matrix (n, n) of similarities.
    settings, resolution
        Method, seed and iterations; the factor on the similarities.
    before
        int64 (n,): communities to start from, any numbers; NO_COMMUNITY for none.
    """
    graph = known_for_graph(matrix, resolution)
    method = find_communities if settings.method == "levels" else walk_communities
    limit = "iterations" if settings.method == "levels" else "epochs"
    labels = method(graph, settings.seed, start_labels(before), **{limit: settings.iterations})
    size = np.bincount(labels, minlength=len(labels))
    community = np.where(size[labels] > 1, labels, NO_COMMUNITY)
    affiliation = np.where(community >= 0, affiliations(matrix, labels), 0.0)
    length = np.sqrt(np.bincount(labels, affiliation**2, minlength=len(labels)))[labels]
    weight = np.divide(affiliation, length, out=np.zeros(len(labels)), where=length > 0)
    community[weight == 0] = NO_COMMUNITY  # not one edge leads to another member
    return KnownFor(community, affiliation, weight, quality(graph, labels))


def start_labels(before: Integers) -> Integers:
    """Return labels below n: members of a community share one, and every other producer has one of its own.

    The communities 7, none, 9, 7, none give the labels 0, 2, 1, 0, 3.
    """
    labels = np.full(len(before), NO_COMMUNITY, np.int64)
    known = before >= 0
    communities, labels[known] = np.unique(before[known], return_inverse=True)
    alone = np.flatnonzero(~known)
    labels[alone] = len(communities) + np.arange(len(alone))
    return labels


@dataclass(frozen=True)
class Identified:
    """Communities with their ids.

    Attributes
    ----------
    community
        int64 (n,): ids, or NO_COMMUNITY.
    next_community
        The first id that no version has used.
    """

    community: Integers
    next_community: int


def identify(community: Integers, before: Integers, next_community: int) -> Identified:
    """Give each community the id of the one before with which it shares most members, or a new id.

    Every id goes to one community, the pairs that share most first; the two must share at least half of the smaller
    one. For example, if community 5 has split into halves of three and two members, the first keeps the id.

    Parameters
    ----------
    community
        int64 (n,): the new communities by number, NO_COMMUNITY for none.
    before
        int64 (n,): ids of the communities that the producers had.
    next_community
        First id for new communities.
    """
    both = (community >= 0) & (before >= 0)
    pairs, shared = np.unique(np.stack([community[both], before[both]]), axis=1, return_counts=True)
    numbers, first, size = np.unique(community, return_index=True, return_counts=True)
    sizes = dict(zip(numbers.tolist(), size.tolist(), strict=True))
    sizes_before = dict(zip(*(part.tolist() for part in np.unique(before, return_counts=True)), strict=True))
    id_of: dict[int, int] = {NO_COMMUNITY: NO_COMMUNITY}
    used = set()
    for position in np.lexsort((pairs[1], pairs[0], -shared)).tolist():
        number, known = pairs[:, position].tolist()
        enough = 2 * shared[position] >= min(sizes[number], sizes_before[known])
        if number not in id_of and known not in used and enough:
            id_of[number] = known
            used.add(known)
    for number in numbers[np.argsort(first)].tolist():  # new ones in the order of their first members
        if number not in id_of:
            id_of[number] = next_community
            next_community += 1
    ids = np.array([id_of[number] for number in numbers.tolist()], np.int64)
    return Identified(ids[np.searchsorted(numbers, community)], next_community)


@dataclass(frozen=True)
class CommunityStatistics:
    """Statistics of k communities, arrays (k,).

    Attributes
    ----------
    community, size
        Ids, ascending, and numbers of members.
    recall
        Share of the weight of the members' edges that stays within the community.
    precision
        Share of the pairs of members that have an edge.
    conductance
        Weight of the edges that leave the community, divided by the weight of all edges at its members or at the other
        producers, whichever is less; 0 if no edge leaves it.
    """

    community: Integers
    size: Integers
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    conductance: NDArray[np.float64]


def statistics(matrix: sparse.csr_array, community: Integers) -> CommunityStatistics:
    """Return the statistics of all communities."""
    ids, number = np.unique(community, return_inverse=True)
    source = np.repeat(np.arange(len(community)), np.diff(matrix.indptr))
    inner = (number[source] == number[matrix.indices]).astype(np.float64)
    total = np.bincount(number[source], matrix.data, minlength=len(ids))
    within = np.bincount(number[source], matrix.data * inner, minlength=len(ids))
    edges = np.bincount(number[source], inner, minlength=len(ids))  # each from both ends
    size = np.bincount(number, minlength=len(ids))
    rest = np.minimum(total, total.sum() - total)
    recall, precision, conductance = (
        np.divide(part, whole, out=np.zeros(len(ids)), where=whole > 0)
        for part, whole in ((within, total), (edges, (size * (size - 1)).astype(np.float64)), (total - within, rest))
    )
    kept = ids >= 0
    return CommunityStatistics(ids[kept], size[kept], recall[kept], precision[kept], conductance[kept])
