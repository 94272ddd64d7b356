"""Early stopping: which epoch is the best one, and when training ends before its last epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from twhin_spark.training.state.round_report import ValidationResult

Metric = Literal["held_out_loss", "monitor_mrr"]


@dataclass(frozen=True)
class StoppingRule:
    """Decisions by a metric of the finished epochs.

    patience: epochs without an improvement of `min_delta` after which training ends; None: it does not end early.
    keep_best: the best epoch's state is kept, not the last one's.
    """

    metric: Metric
    patience: int | None
    min_delta: float
    keep_best: bool

    @property
    def decides(self) -> bool:
        """The metric decides anything at all."""
        return self.patience is not None or self.keep_best

    @property
    def needs_ranks(self) -> bool:
        """The rule needs monitor_mrr, which takes longer to measure than the held-out loss."""
        return self.decides and self.metric == "monitor_mrr"

    def value(self, result: ValidationResult) -> float:
        """Return the metric of an epoch."""
        if self.metric == "held_out_loss":
            return result.held_out_loss
        assert result.monitor_mrr is not None  # as needs_ranks says
        return result.monitor_mrr

    def best(self, history: Sequence[float]) -> int:
        """Return the first epoch with the best value, of one or more."""
        return int(max(range(len(history)), key=lambda epoch: self._gain(history[epoch])))

    def keeps_last(self, history: Sequence[float]) -> bool:
        """Return if the last of these epochs is the best one so far and is to be kept."""
        return self.keep_best and self.best(history) == len(history) - 1

    def ends(self, history: Sequence[float]) -> bool:
        """Return if training ends after these epochs.

        It ends if the last `patience` epochs brought no improvement. Example: with patience 2 and min_delta 0, it ends
        after the values 0.1, 0.2, 0.15, 0.2 of monitor_mrr, as the last improvement was the second epoch.
        """
        if self.patience is None or not history:
            return False
        best, epochs_since = self._gain(history[0]), 0
        for value in history[1:]:
            if self._gain(value) > best + self.min_delta:
                best, epochs_since = self._gain(value), 0
            else:
                epochs_since += 1
        return epochs_since >= self.patience

    def _gain(self, value: float) -> float:
        return value if self.metric == "monitor_mrr" else -value
