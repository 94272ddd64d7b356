"""Planted graphs: nodes in communities of one size, edges within them, and edges to any node as noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from twhin_spark.kernels.arrays import Integers


@dataclass(frozen=True)
class PlantedCommunities:
    """The parameters of a graph: its number of nodes and edges, nodes of a community, and the share of noise."""

    nodes: int
    edges: int
    size: int
    noise: float

    @property
    def name(self) -> str:
        return f"{self.nodes}-{self.edges}-{self.size}-{self.noise:g}"

    @property
    def resolution(self) -> float:
        """A quarter of the density within a community, the cost of a pair in the constant Potts model."""
        return 0.25 * (1 - self.noise) * 2 * self.edges / self.nodes / self.size

    def draw(self, seed: int = 0) -> tuple[sparse.csr_array, Integers]:
        """Return the adjacency matrix with weights of 1, and the community of each node."""
        rng = np.random.default_rng(seed)
        count = self.nodes // self.size
        community = np.arange(self.nodes) % count
        source = rng.integers(self.nodes, size=self.edges)
        # Members of community c are the nodes c, c + count, c + 2 · count, ...
        member = community[source] + count * rng.integers(self.size, size=self.edges)
        target = np.where(rng.random(self.edges) >= self.noise, member, rng.integers(self.nodes, size=self.edges))
        kept = source != target
        ends = (np.concatenate([source[kept], target[kept]]), np.concatenate([target[kept], source[kept]]))
        matrix = sparse.coo_array((np.ones(len(ends[0])), ends), shape=(self.nodes, self.nodes)).tocsr()
        matrix.data[:] = 1
        return sparse.csr_array(matrix), community


def agreement(labels: Integers, truth: Integers) -> float:
    """Return the normalised mutual information of two partitions (n,), 2 I / (H + H'): 1 if they are equal."""
    first, second = (np.unique(part, return_inverse=True)[1] for part in (labels, truth))
    table = sparse.coo_array((np.ones(len(first)), (first, second))).tocsr().tocoo()
    joint = table.data / len(first)
    shares = np.bincount(first) / len(first), np.bincount(second) / len(first)
    row, column = table.coords
    information = float((joint * np.log(joint / (shares[0][row] * shares[1][column]))).sum())
    entropy = sum(-float((share * np.log(share)).sum()) for share in shares)
    return 2 * information / entropy if entropy else 1.0
