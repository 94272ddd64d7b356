"""How often a task that holds the whole model commits.

From estimates of seconds, never from a clock: the plan of a run does not depend on how fast it happens to run.
"""

from __future__ import annotations

from twhin_spark.config.sections import Training

_FLOPS_PER_SECOND = 80e9  # of one core in the kernels' matrix products
_SECONDS_PER_EDGE = 3e-6  # beside them: gathering, masks, updates
_SECONDS_BETWEEN_COMMITS = 10.0


def epoch_seconds(edges: int, training: Training) -> float:
    """The seconds that one core takes for an epoch: three products of dim x candidates an edge, forward and back."""
    candidates = training.batch_size + 2 * training.uniform_negatives
    return edges * (6.0 * training.dim * candidates / _FLOPS_PER_SECOND + _SECONDS_PER_EDGE)


def epochs_a_commit(seconds: float) -> int:
    """How many epochs of so many seconds one task trains before it commits."""
    return max(1, int(_SECONDS_BETWEEN_COMMITS / max(seconds, 1e-3)))
