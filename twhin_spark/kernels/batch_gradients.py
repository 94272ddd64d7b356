"""Gradients of a batch at its entities: arrays that slabs of chunks fill, and that rows are then summed from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.adagrad import RowStep
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.batches import Batch
from twhin_spark.kernels.model import EntityRows


@dataclass(frozen=True)
class BatchGradients:
    """Gradients of a batch at the entities of its C chunks; the first axis is 0 for sources and 1 for targets.

    Attributes
    ----------
    ids
        Rows of the entities, int32 (2, C, n) or, of one end, (C, n).
    values
        (2, C, n, dim) or (C, n, dim).
    """

    ids: Integers
    values: Floats

    def end(self, side: int) -> "BatchGradients":
        return BatchGradients(self.ids[side], self.values[side])

    def slabs(self, batch: Batch, chunks: int) -> Iterator["Slab"]:
        """Yield the batch in parts of at most `chunks` chunks."""
        begin = 0
        for part in batch.slabs(chunks):
            end = begin + len(part.sizes)
            yield Slab(part, self.ids[:, begin:end], self.values[:, begin:end])
            begin = end

    def are_finite(self) -> NDArray[np.bool_]:
        """Return for each chunk if all of its gradients are finite, (C,)."""
        return np.asarray(np.isfinite(self.values).all(axis=(0, 2, 3)))


@dataclass(frozen=True)
class Slab:
    """Some of a batch's chunks, with their places in the batch's gradients.

    Attributes
    ----------
    batch
        The chunks.
    ids, gradients
        Views of the batch's: (2, C, n) and (2, C, n, dim).
    """

    batch: Batch
    ids: Integers
    gradients: Floats


def row_step(entities: EntityRows, gradients: BatchGradients, share: tuple[int, int]) -> RowStep:
    """Sum the gradients of each row of a share that is trained into a step."""
    rows, values = gradients.ids.ravel(), gradients.values.reshape(-1, gradients.values.shape[-1])
    if entities.trained is not None:
        trained = rows < entities.trained
        rows, values = rows[trained], values[trained]
    return RowStep.from_gradients(entities.accumulators, rows, values, share)
