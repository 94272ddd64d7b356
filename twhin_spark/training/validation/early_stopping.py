"""What is decided from the measurements of finished epochs: which one is the best, and when training ends early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from twhin_spark.training.state.round_report import ValidationResult

Metric = Literal["held_out_loss", "monitor_mrr"]


@dataclass(frozen=True)
class StoppingRule:
    """patience: epochs without an improvement of min_delta that end training; None: it does not end early.

    keep_best: the best epoch's state is kept, not just the last one's.
    """

    metric: Metric
    patience: int | None
    min_delta: float
    keep_best: bool

    @property
    def decides(self) -> bool:
        return self.patience is not None or self.keep_best

    @property
    def wants_ranks(self) -> bool:
        """Whether monitor_mrr is to be measured, which costs more than the held-out loss."""
        return self.decides and self.metric == "monitor_mrr"

    def value(self, measured: ValidationResult) -> float:
        """The metric, of a finished epoch."""
        if self.metric == "held_out_loss":
            return measured.held_out_loss
        assert measured.monitor_mrr is not None  # it was asked for
        return measured.monitor_mrr

    def best(self, values: Sequence[float]) -> int:
        """The first epoch with the best value; at least one value."""
        return int(max(range(len(values)), key=lambda epoch: self._gain(values[epoch])))

    def ends(self, values: Sequence[float]) -> bool:
        """Whether training ends after these epochs: `patience` of them have passed since the last improvement."""
        if self.patience is None or not values:
            return False
        best, since = self._gain(values[0]), 0
        for value in values[1:]:
            if self._gain(value) > best + self.min_delta:
                best, since = self._gain(value), 0
            else:
                since += 1
        return since >= self.patience

    def _gain(self, value: float) -> float:
        return value if self.metric == "monitor_mrr" else -value
