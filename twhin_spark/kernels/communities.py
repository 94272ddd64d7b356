"""Communities of a weighted graph: a synchronous multilevel search for the best constant Potts model.

The quality of a partition is a sum over the pairs of nodes that share a community: the weight of their edge minus a
penalty for every pair, connected or not. With node sizes n and penalties p,

    Q = Σ_{u<v, same community} w(u, v) - (n_u p_v + p_u n_v).

KnownFor of SimClusters (V. Satuluri et al., SimClusters, KDD 2020) maximises such a Q, see `known_for_graph`; so does
the constant Potts model of V. Traag, P. Van Dooren and Y. Nesterov (2011), where every penalty is half the resolution.

Nodes of one colour move at once, each to the community with the largest gain. Every node has one of 16 random colours
in an epoch, so that neighbours rarely move together. Weights, penalties and gains are integers, and random numbers are
hashes of (seed, epoch, node, community): the result is the same to the last bit, whatever tasks compute it.

Then communities become the nodes of a coarser graph, which are moved in their turn. Before that, each is split into
its well-connected parts, as in Leiden (V. Traag, L. Waltman and N. van Eck, From Louvain to Leiden, 2019), so that a
part can still leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from twhin_spark.kernels.arrays import Integers

Hashes = NDArray[np.uint64]

COLOURS = 16
SCALE = 2**20  # weights, penalties and gains are multiples of 1 / SCALE
_MOST_EPOCHS = 20  # of moves at a level
_MOVING = 1e-3  # an epoch in which a smaller share of the nodes moves ends a level
_REFINING_EPOCHS = 3
_GAINING = 1e-6  # a pass that gains a smaller share of the quality is the last one


@dataclass(frozen=True)
class PottsGraph:
    """An undirected graph of n nodes, with the penalties of its pairs.

    Attributes
    ----------
    weights
        Symmetric CSR matrix (n, n) of int64 without a diagonal.
    size, penalty
        n_u and p_u of the module's formula, int64 (n,).
    """

    weights: sparse.csr_array
    size: Integers
    penalty: Integers

    def __len__(self) -> int:
        return len(self.size)

    def totals(self, labels: Integers) -> tuple[Integers, Integers]:
        """Return sizes and penalties summed by label, (n,) each."""
        totals = np.zeros((2, len(self)), np.int64)
        np.add.at(totals[0], labels, self.size)
        np.add.at(totals[1], labels, self.penalty)
        return totals[0], totals[1]


def known_for_graph(similarity: sparse.csr_array, resolution: float) -> PottsGraph:
    """Return the graph whose best partition is SimClusters' KnownFor.

    There a producer u gains `α Σ_{v in c} w(u, v) - m_u (|c without u| - neighbours of u in c)` in community c, where
    m_u is the mean weight of its edges. Summed over the members of c, an edge has 2 α w + m_u + m_v, and every pair
    costs m_u + m_v.

    Parameters
    ----------
    similarity
        Symmetric CSR matrix (n, n) of weights above 0, without a diagonal.
    resolution
        α of the formula. The larger it is, the larger the communities.
    """
    degree = np.diff(similarity.indptr)  # (n,)
    penalty = _fixed_point(np.asarray(similarity.sum(axis=1)).ravel() / np.maximum(degree, 1))  # (n,)
    source = np.repeat(np.arange(len(degree)), degree)
    weights = _fixed_point(2 * resolution * similarity.data) + penalty[source] + penalty[similarity.indices]
    matrix = sparse.csr_array((weights, similarity.indices, similarity.indptr), shape=similarity.shape)
    return PottsGraph(matrix, np.ones(len(degree), np.int64), penalty)


def potts_graph(weights: sparse.csr_array, resolution: float) -> PottsGraph:
    """Return the graph of the plain constant Potts model: each pair costs `resolution`, in the unit of the weights."""
    count = weights.shape[0]
    matrix = sparse.csr_array((_fixed_point(weights.data), weights.indices, weights.indptr), shape=weights.shape)
    return PottsGraph(matrix, np.ones(count, np.int64), np.full(count, _fixed_point(np.array(resolution / 2))))


def quality(graph: PottsGraph, labels: Integers) -> float:
    """Return Q of a partition; `labels` (n,) are numbers below n."""
    same = labels[_sources(graph.weights)] == labels[graph.weights.indices]
    size, penalty = graph.totals(labels)
    pairs = int(size @ penalty) - int(graph.size @ graph.penalty)
    return (int(graph.weights.data[same].sum()) // 2 - pairs) / SCALE


def find_communities(graph: PottsGraph, seed: int, start: Integers | None = None, *, iterations: int = 10) -> Integers:
    """Search for the best partition on all levels.

    Parameters
    ----------
    graph
        Graph of n nodes.
    seed
        Seed of the hashes that colour nodes and break ties.
    start
        Labels (n,) to start from, numbers below n; by default every node is alone. Communities keep their labels.
    iterations
        The most passes through all levels, each from the partition that the one before has reached.

    Returns
    -------
    int64 (n,)
        The label of each node, a number below n.
    """
    labels: Integers = np.arange(len(graph)) if start is None else start.astype(np.int64)
    reached = quality(graph, labels)
    for iteration in range(iterations):
        before = reached
        labels = _pass(graph, labels, _hash(seed, iteration))
        reached = quality(graph, labels)
        if reached - before <= _GAINING * abs(reached):
            break
    return labels


def _pass(graph: PottsGraph, labels: Integers, seed: Hashes) -> Integers:
    """Move nodes, then the parts of their communities on a coarser graph, and so on, and nodes again on the way back.

    A coarse node's label is the number of one of its parts, so labels go up and down through `label_of`.
    """
    labels = move_nodes(graph, labels, seed)
    part_of, parts = _refine(graph, labels, seed)
    if len(parts) == len(graph):
        return labels
    coarse = _coarsen(graph, part_of, len(parts))
    names, number = np.unique(labels[parts], return_inverse=True)
    # Labels of the coarse graph: a community's number; those that are new there take labels that no node has.
    above = _pass(coarse, number, _hash(seed, 1))
    free = np.setdiff1d(np.arange(len(graph)), names)[: len(parts) - len(names)]
    label_of = np.concatenate([names, free])
    return move_nodes(graph, label_of[above][part_of], _hash(seed, 2))


def _refine(graph: PottsGraph, labels: Integers, seed: Hashes) -> tuple[Integers, Integers]:
    """Split communities into parts: moves from single nodes, along the edges within a community.

    Returns the part of each node, (n,), and a node of each part, (parts,).
    """
    weights = graph.weights
    inner = labels[_sources(weights)] == labels[weights.indices]
    bounds = np.concatenate([[0], np.cumsum(inner)])[weights.indptr]
    matrix = sparse.csr_array((weights.data[inner], weights.indices[inner], bounds), shape=weights.shape)
    alone = np.arange(len(graph))
    parts = move_nodes(replace(graph, weights=matrix), alone, _hash(seed, 3), epochs=_REFINING_EPOCHS)
    _, nodes, part_of = np.unique(parts, return_index=True, return_inverse=True)
    return part_of, nodes


def _coarsen(graph: PottsGraph, part_of: Integers, count: int) -> PottsGraph:
    """Return the graph whose nodes are the parts."""
    member = _indicator(part_of, count)
    weights = sparse.csr_array(member.T @ (graph.weights @ member))
    weights.setdiag(0)
    weights.eliminate_zeros()
    size, penalty = graph.totals(part_of)
    return PottsGraph(weights, size[:count], penalty[:count])


def move_nodes(graph: PottsGraph, labels: Integers, seed: int | Hashes, *, epochs: int = _MOST_EPOCHS) -> Integers:
    """Move the nodes, colour by colour, until hardly one moves any more; return their labels (n,)."""
    labels = labels.copy()
    nodes = np.arange(len(graph))
    for epoch in range(epochs):
        colour = _hash(seed, epoch, nodes) % np.uint64(COLOURS)
        moved = 0
        for turn in range(COLOURS):
            movers = nodes[colour == turn]
            wanted = best_communities(gains_of(graph, labels, movers), _hash(seed, epoch))
            moved += int(np.count_nonzero(wanted != labels[movers]))
            labels[movers] = wanted
            label_single_nodes(labels)
        if moved <= _MOVING * len(graph):
            break
    return labels


def walk_communities(graph: PottsGraph, seed: int, start: Integers | None = None, *, epochs: int = 4) -> Integers:
    """Move the nodes at random by `sample_communities`, colour by colour, as SimClusters does: no levels.

    Parameters and result are those of `find_communities`.
    """
    labels: Integers = np.arange(len(graph)) if start is None else start.astype(np.int64)
    nodes = np.arange(len(graph))
    for epoch in range(epochs):
        colour = _hash(seed, epoch, nodes) % np.uint64(COLOURS)
        for turn in range(COLOURS):
            movers = nodes[colour == turn]
            labels[movers] = sample_communities(gains_of(graph, labels, movers), _hash(seed, epoch))
            label_single_nodes(labels)
    return labels


@dataclass(frozen=True)
class Gains:
    """Gains of m nodes in their own and their neighbours' communities; a node that is alone gains 0.

    Attributes
    ----------
    nodes, label, stay
        The nodes, their labels and what they gain there now, int64 (m,).
    row, community, gain
        A possible move each, int64 (k,): position in `nodes`, ascending; a neighbour's community; the gain there.
    """

    nodes: Integers
    label: Integers
    stay: Integers
    row: Integers
    community: Integers
    gain: Integers


def gains_of(graph: PottsGraph, labels: Integers, nodes: Integers) -> Gains:
    """Compute the gains of some nodes (m,) from the labels alone, so that any split of the nodes gives the same."""
    size, penalty = graph.totals(labels)
    label = labels[nodes]
    own_size, own_penalty = graph.size[nodes], graph.penalty[nodes]
    joined = graph.weights[nodes] @ _indicator(labels, len(graph))  # (m, n) weight of a node's edges to a community
    row, community, weight = _sources(joined), joined.indices.astype(np.int64), joined.data
    here = community == label[row]
    stay = np.zeros(len(nodes), np.int64)
    stay[row[here]] = weight[here]
    stay -= own_size * (penalty[label] - own_penalty) + own_penalty * (size[label] - own_size)
    row, community, weight = row[~here], community[~here], weight[~here]
    gain = weight - own_size[row] * penalty[community] - own_penalty[row] * size[community]
    return Gains(nodes, label, stay, row, community, gain)


def best_communities(gains: Gains, seed: int | Hashes) -> Integers:
    """Return the community with the largest gain of each node, (m,); -1: it is best alone.

    A node moves only if it gains, and to a random one of several equal communities.
    """
    best = np.maximum(gains.stay, 0)
    np.maximum.at(best, gains.row, gains.gain)
    wanted = np.where(gains.stay == best, gains.label, -1)
    moves = (gains.gain == best[gains.row]) & (gains.gain > np.maximum(gains.stay, 0)[gains.row])
    row, community = gains.row[moves], gains.community[moves]
    order = np.lexsort((_hash(seed, gains.nodes[row], community), row))
    wanted[row[order]] = community[order]  # the last of a row counts
    return wanted


def sample_communities(gains: Gains, seed: int | Hashes) -> Integers:
    """Return a community for each node by one step of Metropolis and Hastings, (m,); -1: alone.

    SimClusters' proposal: alone or a neighbour's community, with probability proportional to exp(gain); it is accepted
    if half of what it gains over the present one exceeds ln U. The proposal is drawn as the largest of gain + Gumbel.
    """
    rows = np.arange(len(gains.nodes))
    row = np.concatenate([rows, rows, gains.row])
    community = np.concatenate([np.full(len(rows), -1), gains.label, gains.community])
    gain = np.concatenate([np.zeros(len(rows)), gains.stay / SCALE, gains.gain / SCALE])
    drawn = gain - np.log(-np.log(_uniform(seed, 0, gains.nodes[row], community)))
    order = np.lexsort((drawn, row))
    proposal = np.empty(len(rows), np.int64)
    proposal[row[order]] = order  # the last of a row is the largest
    accepted = (gain[proposal] - gains.stay / SCALE) / 2 > np.log(_uniform(seed, 1, gains.nodes))
    return np.where(accepted, community[proposal], gains.label)


def label_single_nodes(labels: Integers) -> None:
    """Replace each -1 by a label that no node has, the lowest first."""
    alone = np.flatnonzero(labels < 0)
    if len(alone):
        taken = np.zeros(len(labels), bool)
        taken[labels[labels >= 0]] = True
        labels[alone] = np.flatnonzero(~taken)[: len(alone)]


def affiliations(similarity: sparse.csr_array, labels: Integers) -> NDArray[np.float64]:
    """Return how strongly each node belongs to its community, (n,): 1 if all its edges lead there and to all members.

    w_in / (w_in + w_out + m (|c| - 1 - neighbours in c)), where m is the mean weight of the node's edges; 0 without
    an edge into the community.

    Examples
    --------
    Of two cliques of four with one edge between them, three nodes each have 3 / (3 + 0 + 0) = 1, and the end of the
    edge has 3 / (3 + 1 + 0) = .75.
    """
    source = _sources(similarity)
    inner = (labels[source] == labels[similarity.indices]).astype(np.float64)
    count = len(labels)
    total, degree = np.bincount(source, similarity.data, count), np.diff(similarity.indptr)
    within, neighbours = np.bincount(source, similarity.data * inner, count), np.bincount(source, inner, count)
    missing = np.bincount(labels, minlength=count)[labels] - 1 - neighbours
    return within / np.maximum(total + total / np.maximum(degree, 1) * missing, np.finfo(np.float64).tiny)


def _indicator(labels: Integers, count: int) -> sparse.csr_array:
    """Return the matrix (n, count) with a 1 at each node's label."""
    nodes = len(labels)
    return sparse.csr_array((np.ones(nodes, np.int64), labels, np.arange(nodes + 1)), shape=(nodes, count))


def _sources(matrix: sparse.csr_array) -> Integers:
    """Return the row of each stored element of a CSR matrix."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _fixed_point(values: NDArray[np.float64]) -> Integers:
    """Round values to whole multiples of 1 / SCALE."""
    return np.rint(SCALE * values).astype(np.int64)


def _hash(*parts: int | Integers | Hashes) -> Hashes:
    """Mix numbers or arrays of equal length into 64 random bits (splitmix64, G. Steele, D. Lea, C. Flood 2014)."""
    mixed = np.zeros(1, np.uint64)
    for part in parts:
        mixed = (mixed ^ np.asarray(part).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def _uniform(*parts: int | Integers | Hashes) -> NDArray[np.float64]:
    """Draw from the open interval (0, 1)."""
    return ((_hash(*parts) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
