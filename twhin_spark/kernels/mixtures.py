"""Mixtures over clusters: which interests a source has, smoothed by its neighbours', and lists drawn in proportion.

A. El-Kishky, T. Markovich, K. Leung, F. Portman, A. Haghighi, Y. Xiao: kNN-Embed: Locally Smoothed Embedding Mixtures
For Multi-interest Candidate Retrieval, 2022 (arXiv 2205.06205).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.pair_scores import Sparse


def mixtures(source: Integers, cluster: Integers, sources: int, clusters: int) -> Sparse:
    """The share of each cluster among the engaged targets of each source: CSR (sources, clusters); rows sum to 1 or 0.

    source, cluster: (e,), of each engaged target its source and its cluster.
    """
    counts = csr_array((np.ones(len(source)), (source, cluster)), shape=(sources, clusters))
    return _normalised(counts)


def smooth_mixtures(own: Sparse, neighbours: Integers, all_mixtures: Sparse, share: float) -> Sparse:
    """(1 - share) · own + share · the mean of the neighbours' mixtures; CSR (m, clusters), rows sum to 1 or 0.

    own: (m, clusters). neighbours: (m, k), rows of all_mixtures, -1 for none. Who has no mixture of their own takes
    the neighbours', and the other way round.
    """
    row, column = np.nonzero(neighbours >= 0)
    ones = np.ones(len(row))
    links = csr_array((ones, (row, neighbours[row, column])), shape=(len(neighbours), all_mixtures.shape[0]))
    theirs = _normalised(links @ all_mixtures)
    return _normalised(own * (1 - share) + theirs * share) if 0 < share < 1 else (own if share == 0 else theirs)


def draw_in_proportion(row: Integers, weight: Floats, rank: Integers, score: Floats, k: int) -> Integers:
    """Which candidates (n,) make each source's list, in its order: positions, by source, then place in the list.

    row: the source. weight: of the candidate's cluster in the source's mixture, above 0. rank: place of the candidate
    among those of its cluster for the source, from 1. A list's next candidate is the one with the lowest
    (rank - 1/2) / weight, so that every beginning of a list has the clusters in proportion (Webster's method).
    """
    order = np.lexsort((-score, (rank - 0.5) / weight, row))
    ordered = row[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    picked: Integers = order[place < k]
    return picked


def _normalised(rows: Sparse) -> Sparse:
    sums = np.asarray(rows.sum(axis=1), np.float64)
    scale = np.divide(1.0, sums, out=np.zeros(len(sums)), where=sums > 0)
    scaled: Sparse = csr_array(rows.multiply(scale[:, None]))
    return scaled
