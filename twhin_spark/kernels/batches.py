"""Batches of a training pass: every edge is in exactly one chunk of one batch, and a chunk has one relation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Integers


@dataclass(frozen=True)
class Batch:
    """C chunks that are trained in one step, each of up to B edges of one relation.

    Attributes
    ----------
    relation
        Relation number of each chunk, (C,).
    sizes
        Number of edges of each chunk, (C,); at least one chunk has B.
    edges
        Positions of the chunks' edges, (C, B). A chunk of fewer than B edges repeats its last one to fill its row.
    """

    relation: Integers
    sizes: Integers
    edges: Integers

    @property
    def filled(self) -> NDArray[np.bool_]:
        """False for the edges that a chunk is filled up with, (C, B)."""
        return np.arange(self.edges.shape[1]) < self.sizes[:, None]

    def slabs(self, chunks: int) -> Iterator["Batch"]:
        """Split the batch into parts of at most `chunks` chunks."""
        for begin in range(0, len(self.sizes), chunks):
            part = slice(begin, begin + chunks)
            yield Batch(self.relation[part], self.sizes[part], self.edges[part])


def deal_batches(
    relation: Integers, relation_batch: Integers, chunk_size: int, chunks: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Deal edges at random into batches, which come in random order.

    The edges of a relation are dealt into as few chunks as can hold them, of sizes that differ by one at most: a small
    last chunk would have few in-batch negatives. Chunks of similar sizes share a batch, so that little is filled up.

    Parameters
    ----------
    relation
        Relation number of each edge, (n,).
    relation_batch
        For each relation number, the number of the `RelationBatch` that it belongs to, (relations,). All chunks of a
        batch belong to the same one.
    chunk_size
        The most edges of a chunk.
    chunks
        The most chunks of a batch.
    rng
        Generator of the order of edges, chunks and batches.

    Examples
    --------
    Seven edges of relation 0 and three of relation 1 are dealt with `chunk_size` 3 and `chunks` 2. Relation 0 needs
    three chunks, of 2, 2 and 3 edges; relation 1 needs one, of 3 edges. Sorted by size, the four chunks make two
    batches: one of shape (2, 2) with two chunks of relation 0, and one of shape (2, 3) with a chunk of each relation.
    """
    shuffled = rng.permutation(len(relation))
    shuffled = shuffled[np.argsort(relation[shuffled], kind="stable")]  # (n,) edges by relation
    numbers, first, counts = np.unique(relation[shuffled], return_index=True, return_counts=True)
    parts = -(-counts // chunk_size)  # (relations,) chunks of each
    relations = np.repeat(numbers, parts)  # (all chunks,), like the arrays from here on
    part = np.arange(len(relations)) - np.repeat(np.cumsum(parts) - parts, parts)
    begins, ends = (np.repeat(counts, parts) * (part + i) // np.repeat(parts, parts) for i in (0, 1))
    begins, sizes = begins + np.repeat(first, parts), ends - begins

    order = rng.permutation(len(relations))
    order = order[np.lexsort((sizes[order], relation_batch[relations[order]]))]
    bounds = np.flatnonzero(np.diff(relation_batch[relations[order]])) + 1
    batches = [run[at : at + chunks] for run in np.split(order, bounds) for at in range(0, len(run), chunks)]
    for number in rng.permutation(len(batches)):
        members = batches[number]  # (C,)
        offsets = np.minimum(np.arange(sizes[members].max()), sizes[members, None] - 1)  # (C, B)
        yield Batch(relations[members], sizes[members], shuffled[begins[members, None] + offsets])
