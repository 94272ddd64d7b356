"""Seconds of each part of a training pass, by Python's profiler."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twhin_spark.kernels import adagrad, batch_gradients, batches, gradients, relation_batches, training_pass
from twhin_spark.kernels.losses import Softmax
from twhin_spark.kernels.operators import Translation
from twhin_spark.kernels.similarity import Dot

# Functions of each part, with all that they call. They are named as objects, so that a renaming cannot miss them.
_PARTS: Mapping[str, Sequence[Any]] = {
    "deal batches": [batches.deal_batches],
    "draw negatives, gather": [training_pass._RelationBatchPass._put_ids, training_pass._RelationBatchPass._ends],
    "weights, masks": [gradients._corruption],
    "loss": [Softmax.both_corruptions, Dot.greatest_norms],
    "operator": [Translation.apply, Translation.backward],
    "sum of equal rows": [batch_gradients.row_step],
    "update": [adagrad.RowStep.apply, relation_batches.RelationBatch.update],
}
# Matrix products are operators, whose time the profiler counts as that of the function that contains them.
_PRODUCTS = gradients._one_sided


def profiled(run: Callable[[], object]) -> dict[str, float]:
    """Profile a training pass.

    Parameters
    ----------
    run
        A call of `train_edges` with the softmax loss, dot products and one-sided translations between entities of one
        type.

    Returns
    -------
    dict
        Seconds by part; "other" is what `train_edges` does outside the named parts.
    """
    profiler = cProfile.Profile()
    profiler.runcall(run)
    entries: dict[tuple[str, int, str], Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]

    def seconds(function: Any, *, with_callees: bool = True) -> float:
        code = function.__code__
        _, _, alone, cumulative, _ = entries[code.co_filename, code.co_firstlineno, code.co_name]
        return float(cumulative if with_callees else alone)

    parts = {"matrix products": seconds(_PRODUCTS, with_callees=False)}
    parts |= {part: sum(map(seconds, functions)) for part, functions in _PARTS.items()}
    parts["other"] = seconds(training_pass.train_edges) - sum(parts.values())
    return parts
