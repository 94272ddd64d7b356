"""Where a kernel's time goes, by the profiler: `other` is what `train_edges` does beside the functions named here."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from pathlib import Path
from typing import Any

# By part, functions of twhin_spark/kernels with all that they call.
_PARTS = {
    "deal batches": ["batches.deal_batches"],
    "draw negatives, gather": ["train._ends"],
    "weights, masks": ["step._side"],
    "loss": ["losses.both_sides", "pairs.both_sides", "comparators.greatest_norm"],
    "operator": ["operators.apply", "operators.backward"],
    "sum of equal rows": ["train._row_step"],
    "update": ["adagrad.take", "families.update"],
}
# Matrix products are operators, which the profiler leaves on the account of the function that has them.
_PRODUCTS = "step._one_sided"


def profiled(run: Callable[[], object]) -> dict[str, float]:
    """Seconds of each part of `run`, which trains one-sided relations between entities of one type."""
    profiler = cProfile.Profile()
    profiler.runcall(run)
    entries: dict[tuple[str, int, str], Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    own: dict[str, float] = {}
    with_callees: dict[str, float] = {}
    for (file, _, function), (_, _, seconds, cumulative, _) in entries.items():
        if "kernels" in Path(file).parts:
            name = f"{Path(file).stem}.{function}"
            own[name] = own.get(name, 0.0) + seconds
            with_callees[name] = with_callees.get(name, 0.0) + cumulative
    parts = {"matrix products": own[_PRODUCTS]}
    parts |= {part: sum(with_callees.get(name, 0.0) for name in names) for part, names in _PARTS.items()}
    parts["other"] = with_callees["train.train_edges"] - sum(parts.values())
    return parts
