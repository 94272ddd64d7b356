"""Mixtures over clusters: the interests of a source, smoothed by its neighbours, and lists drawn in proportion to them.

A. El-Kishky, T. Markovich, K. Leung, F. Portman, A. Haghighi, Y. Xiao: kNN-Embed: Locally Smoothed Embedding Mixtures
For Multi-interest Candidate Retrieval, 2022 (arXiv 2205.06205).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.pair_scores import Sparse


def mixtures(source: Integers, cluster: Integers, sources: int, clusters: int) -> Sparse:
    """Return the share of each cluster among the engaged targets of each source.

    Parameters
    ----------
    source, cluster
        The source and the target's cluster of each engagement, (e,).
    sources, clusters
        Their numbers.

    Returns
    -------
    float64 CSR (sources, clusters)
        Rows sum to 1, or to 0 for a source without engagements.
    """
    counts = csr_array((np.ones(len(source)), (source, cluster)), shape=(sources, clusters))
    return _normalised(counts)


def smooth_mixtures(own: Sparse, neighbours: Integers, all_mixtures: Sparse, share: float) -> Sparse:
    """Mix the mixtures of sources with the mean of their neighbours': (1 - share) · own + share · mean.

    A source without a mixture takes the neighbours' mean, and one whose neighbours have no mixture keeps its own.

    Parameters
    ----------
    own
        Mixtures of m sources, CSR (m, clusters).
    neighbours
        Rows of `all_mixtures`, (m, k), or -1 for none.
    all_mixtures
        Mixtures of all sources, CSR (sources, clusters).
    share
        Weight of the neighbours, from 0 to 1.

    Returns
    -------
    float64 CSR (m, clusters)
        Rows sum to 1, or to 0 if neither the source nor a neighbour has a mixture.
    """
    row, column = np.nonzero(neighbours >= 0)
    ones = np.ones(len(row))
    links = csr_array((ones, (row, neighbours[row, column])), shape=(len(neighbours), all_mixtures.shape[0]))
    mean = _normalised(links @ all_mixtures)
    return _normalised(own * (1 - share) + mean * share) if 0 < share < 1 else (own if share == 0 else mean)


def draw_in_proportion(row: Integers, weight: Floats, rank: Integers, score: Floats, k: int) -> Integers:
    """Choose the k candidates of each source so that every beginning of a list has the clusters in proportion.

    The next candidate of a list is the one with the lowest (rank - 1/2) / weight (Webster's method).

    Parameters
    ----------
    row
        Row of each candidate's source, (n,).
    weight
        Weight of the candidate's cluster in the source's mixture, (n,), above 0.
    rank
        Rank of the candidate among those of its cluster for the source, (n,), from 1.
    score
        (n,); the higher one comes first among equals.
    k
        The most candidates of a source.

    Returns
    -------
    int64 (picked,)
        Positions of the chosen candidates, in the order of sources and lists.

    Examples
    --------
    A source has the weights 2/3 for cluster a and 1/3 for cluster b. The candidates of a come at 0.75, 2.25 and 3.75,
    those of b at 1.5 and 4.5, so its list is a, b, a, a, b.
    """
    order = np.lexsort((-score, (rank - 0.5) / weight, row))
    sorted_rows = row[order]
    position = np.arange(len(order)) - np.searchsorted(sorted_rows, sorted_rows)  # in the source's list
    picked: Integers = order[position < k]
    return picked


def _normalised(rows: Sparse) -> Sparse:
    """Divide rows by their sums; a row of zeros stays."""
    sums = np.asarray(rows.sum(axis=1), np.float64)
    scale = np.divide(1.0, sums, out=np.zeros(len(sums)), where=sums > 0)
    scaled: Sparse = csr_array(rows.multiply(scale[:, None]))
    return scaled
