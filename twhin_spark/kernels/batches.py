"""Edges dealt into the chunks of one pass: every edge in exactly one chunk, one relation a chunk."""

import numpy as np

from twhin_spark.kernels.arrays import Integers


def shuffled_chunks(relation: Integers, batch_size: int, rng: np.random.Generator) -> list[tuple[int, Integers]]:
    """Random chunks, in random order, of edges with these relations (n,): each the relation and positions in (n,).

    The edges of a relation are dealt into as few chunks of at most batch_size as hold them, and those are as equal
    as can be: a small last chunk would have few in-batch negatives.
    """
    shuffled = rng.permutation(len(relation))
    shuffled = shuffled[np.argsort(relation[shuffled], kind="stable")]
    relations, first = np.unique(relation[shuffled], return_index=True)
    last = np.append(first, len(shuffled))[1:]
    chunks = [
        (int(name), chunk)
        for name, begin, end in zip(relations, first, last, strict=True)
        for chunk in np.array_split(shuffled[begin:end], -(-(end - begin) // batch_size))
    ]
    return [chunks[k] for k in rng.permutation(len(chunks))]
