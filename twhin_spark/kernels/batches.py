"""Edges dealt into the batches of one pass: every edge in exactly one chunk of one batch, one relation a chunk."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Integers


@dataclass(frozen=True)
class Batch:
    """C chunks that are trained in one step, each of up to B edges of one relation.

    relation: (C,), each chunk's relation number.
    sizes: (C,), each chunk's edges; at least one chunk has B.
    edges: (C, B), positions of the chunk's edges. From its size on, a row repeats one of them to fill the array.
    """

    relation: Integers
    sizes: Integers
    edges: Integers

    def slabs(self, chunks: int) -> Iterator["Batch"]:
        """The batch in parts of so many chunks."""
        for at in range(0, len(self.sizes), chunks):
            own = slice(at, at + chunks)
            yield Batch(self.relation[own], self.sizes[own], self.edges[own])


def deal_batches(
    relation: Integers, family: Integers, chunk_size: int, chunks: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Random batches, in random order, of edges with these relations (n,).

    family: (relations,), by relation number; the relations of a batch are of one family.
    chunk_size, chunks: edges of a chunk, and chunks of a batch, at most.

    The edges of a relation are dealt into as few chunks as hold them, and those are as equal as can be: a small last
    chunk would have few in-batch negatives. A batch's chunks are about equally large, so that little is filled up.
    """
    shuffled = rng.permutation(len(relation))
    shuffled = shuffled[np.argsort(relation[shuffled], kind="stable")]
    numbers, first, counts = np.unique(relation[shuffled], return_index=True, return_counts=True)
    parts = -(-counts // chunk_size)  # (relations,) chunks of each
    relations = np.repeat(numbers, parts)  # (all chunks,), like the others from here on
    part = np.arange(len(relations)) - np.repeat(np.cumsum(parts) - parts, parts)
    begins, ends = (np.repeat(counts, parts) * (part + i) // np.repeat(parts, parts) for i in (0, 1))
    begins, sizes = begins + np.repeat(first, parts), ends - begins

    order = rng.permutation(len(relations))
    order = order[np.lexsort((sizes[order], family[relations[order]]))]
    bounds = np.flatnonzero(np.diff(family[relations[order]])) + 1
    batches = [
        of_family[at : at + chunks] for of_family in np.split(order, bounds) for at in range(0, len(of_family), chunks)
    ]
    for number in rng.permutation(len(batches)):
        chosen = batches[number]
        offsets = np.minimum(np.arange(sizes[chosen].max()), sizes[chosen, None] - 1)  # (C, B)
        yield Batch(relations[chosen], sizes[chosen], shuffled[begins[chosen, None] + offsets])
