"""How the edges of a training are cut: what shows that two sides do the same work."""

from __future__ import annotations

import numpy as np

from benchmarks.kernel_processes import Work, halves
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.batches import Batch, deal_batches
from twhin_spark.kernels.model import Edges


def our_batches(edges: Edges, work: Work) -> list[Batch]:
    """The batches of a pass over these edges, whose relations all have the same operator and types."""
    family = np.zeros(edges.relation.max() + 1, np.int64)
    chunks = work.batch_size // work.chunk
    return list(deal_batches(edges.relation, family, work.chunk, chunks, np.random.default_rng(0)))


def sizes_of(batches: list[Batch]) -> Integers:
    """Edges of each chunk."""
    return np.concatenate([batch.sizes for batch in batches])


def floating_point_operations(chunks: Integers, work: Work) -> int:
    """Of the score and gradient products of chunks with these many edges.

    A chunk scores B x B in-batch pairs, which serve both sides, and B x U on each side; the gradient of a product is
    two products of its size.
    """
    pairs = chunks * (chunks + 2 * work.uniform_negatives)
    return int(3 * 2 * work.dim * pairs.sum())


def work_facts(edges: Edges, work: Work) -> dict[str, str]:
    """Negatives and updates of either side on these edges, dealt over two processes."""
    parts = halves(edges)
    ours = [batch for part in parts for batch in our_batches(part, work)]
    counts = [np.bincount(part.relation) for part in parts]
    batches = {
        "PyTorch-BigGraph, a relation a batch": [_cut(n, work.batch_size) for part in counts for n in part],
        "PyTorch-BigGraph, relations mixed": [_cut(len(part.source), work.batch_size) for part in parts],
    }
    facts = {"negatives of an edge and side, ours": _negatives(sizes_of(ours), work)}
    for name, dealt in batches.items():
        sizes = [size for cut in dealt for size in cut]
        chunks = np.array([chunk for size in sizes for chunk in _cut(size, work.chunk)])
        facts[f"negatives of an edge and side, {name}"] = _negatives(chunks, work)
    facts["updates an epoch, ours"] = f"{len(ours):,}"
    for name, dealt in batches.items():
        facts[f"updates an epoch, {name}"] = f"{sum(map(len, dealt)):,}"
    return facts


def _negatives(chunks: Integers, work: Work) -> str:
    in_batch = (chunks * (chunks - 1)).sum() / chunks.sum()
    return f"{in_batch:.0f} in-batch (mean), {work.uniform_negatives} uniform"


def _cut(count: int, size: int) -> list[int]:
    """As many full pieces as there are, and one for the rest."""
    return [size] * (count // size) + ([count % size] if count % size else [])
