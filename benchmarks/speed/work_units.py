"""Batches, negatives and operations of a training pass, which show that both sides do the same work."""

from __future__ import annotations

import numpy as np

from benchmarks.speed.kernel_processes import KernelSettings, halves
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.batches import Batch, deal_batches
from twhin_spark.kernels.model import Edges


def our_batches(edges: Edges, settings: KernelSettings) -> list[Batch]:
    """Return the batches of a pass over these edges, whose relations must share their operator and entity types."""
    family = np.zeros(edges.relation.max() + 1, np.int64)
    chunks = settings.batch_size // settings.chunk
    return list(deal_batches(edges.relation, family, settings.chunk, chunks, np.random.default_rng(0)))


def sizes_of(batches: list[Batch]) -> Integers:
    """Return the number of edges of each chunk."""
    return np.concatenate([batch.sizes for batch in batches])


def floating_point_operations(chunks: Integers, settings: KernelSettings) -> int:
    """Count the operations of the score and gradient products of chunks, given the number of edges of each.

    A chunk scores B x B in-batch pairs, which serve both sides, and B x U on each side; the gradient of a product is
    two products of its size.
    """
    pairs = chunks * (chunks + 2 * settings.uniform_negatives)
    return int(3 * 2 * settings.dim * pairs.sum())


def work_facts(edges: Edges, settings: KernelSettings) -> dict[str, str]:
    """Return the negatives and updates of either side on these edges, dealt over two processes."""
    parts = halves(edges)
    ours = [batch for part in parts for batch in our_batches(part, settings)]
    counts = [np.bincount(part.relation) for part in parts]
    batches = {
        "PyTorch-BigGraph, a relation a batch": [_cut(n, settings.batch_size) for part in counts for n in part],
        "PyTorch-BigGraph, relations mixed": [_cut(len(part.source), settings.batch_size) for part in parts],
    }
    facts = {"negatives of an edge and side, ours": _negatives(sizes_of(ours), settings)}
    for name, cuts in batches.items():
        sizes = [size for cut in cuts for size in cut]
        chunks = np.array([chunk for size in sizes for chunk in _cut(size, settings.chunk)])
        facts[f"negatives of an edge and side, {name}"] = _negatives(chunks, settings)
    facts["updates an epoch, ours"] = f"{len(ours):,}"
    for name, cuts in batches.items():
        facts[f"updates an epoch, {name}"] = f"{sum(map(len, cuts)):,}"
    return facts


def _negatives(chunks: Integers, settings: KernelSettings) -> str:
    in_batch = (chunks * (chunks - 1)).sum() / chunks.sum()
    return f"{in_batch:.0f} in-batch (mean), {settings.uniform_negatives} uniform"


def _cut(count: int, size: int) -> list[int]:
    """Cut a count into full pieces and one for the rest: 7 by 3 is [3, 3, 1]."""
    return [size] * (count // size) + ([count % size] if count % size else [])
