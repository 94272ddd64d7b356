"""Drift: how far vectors moved between two versions, counted in bins so that workers return little."""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers

BIN_WIDTH = 0.0005
GREATEST = 2.0  # larger values are counted in the last bin
BINS = round(GREATEST / BIN_WIDTH) + 1
PERCENTS = (5, 25, 50, 75, 95)
_HISTOGRAM_PARTS = 20


def cosine_distance(a: Floats, b: Floats) -> Floats:
    """Return 1 - cosine of each pair of rows, (n,), from 0 to 2; 0 if either is 0."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = np.divide(np.vecdot(a, b), norms, out=np.ones(len(a)), where=norms > 0)
    distance: Floats = np.clip(1 - cosines, 0, 2)
    return distance


def relative_distance(a: Floats, b: Floats) -> Floats:
    """Return |b - a| / |a| of each pair of rows, (n,); 0 if a is 0."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1)
    distance: Floats = np.divide(np.linalg.norm(b - a, axis=1), norms, out=np.zeros(len(a)), where=norms > 0)
    return distance


MEASURES = {"cosine": cosine_distance, "l2": relative_distance}


def bins_of(values: Floats) -> Integers:
    """Return the bin of each value (n,), from 0 to BINS - 1."""
    bins: Integers = np.minimum(values / BIN_WIDTH, BINS - 1).astype(np.int64)
    return bins


@dataclass(frozen=True)
class Distribution:
    """A distribution of values, by bin.

    Attributes
    ----------
    counts
        Number of values in each bin, int64 (BINS,).
    total
        Sum of the values.
    """

    counts: Integers
    total: float

    @property
    def count(self) -> int:
        """The number of values."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean of the values; 0 if there are none."""
        return self.total / max(self.count, 1)

    def percentile(self, percent: int) -> float:
        """Return the middle of the bin that has the percentile.

        Example: of the values 0.1, 0.2, 0.3 and 0.4 the 50th percentile is in the bin of 0.2, the least one below or in
        which half of the values lie.
        """
        position = np.searchsorted(self.counts.cumsum(), max(percent / 100 * self.count, 1))
        return (float(position) + 0.5) * BIN_WIDTH

    def histogram(self) -> list[int]:
        """Return the counts in equal parts of 0 to GREATEST; larger values are in the last one."""
        part = (BINS - 1) // _HISTOGRAM_PARTS
        counts = self.counts[:-1].reshape(_HISTOGRAM_PARTS, part).sum(axis=1)
        counts[-1] += self.counts[-1]
        return [int(count) for count in counts]

    def __add__(self, other: "Distribution") -> "Distribution":
        return Distribution(self.counts + other.counts, self.total + other.total)
