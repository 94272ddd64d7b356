"""The lines that a training prints: one an epoch, and between them rounds, none more often than is worth reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.round_report import RoundReport, ValidationResult

_SECONDS_BETWEEN_ROUNDS = 5.0
_SECONDS_BETWEEN_EPOCHS = 1.0


class TrainingProgress:
    """Says what was trained. Seconds are those of the reports, so that epochs committed together are told alike."""

    def __init__(
        self, say: Callable[[str], None], *, epochs: int, rounds: int, edges: int, earlier: Sequence[RoundReport]
    ) -> None:
        """rounds: of an epoch. edges: of an epoch, expected. earlier: what was trained before this driver began."""
        self._say, self._epochs, self._rounds, self._edges = say, epochs, rounds, edges
        self._epoch = [report for report in earlier if earlier and report.epoch == earlier[-1].epoch]
        self._trained = sum(sum(report.edges.values()) for report in earlier)  # edges since the run began
        self._silent = 0.0  # seconds of training since the last line
        self._pace: tuple[float, int] = (0.0, 0)  # seconds and edges of this driver

    def tell(self, after: Manifest) -> None:
        """A line for each epoch that a commit ends, and one for its round otherwise, where the last line is old."""
        for report in after.reports:
            if self._epoch and self._epoch[-1].epoch != report.epoch:
                self._epoch = []
            self._epoch.append(report)
            edges = sum(report.edges.values())
            measured = report.held_out.seconds if report.held_out else 0.0
            self._trained += edges
            self._silent += report.seconds
            self._pace = self._pace[0] + report.seconds + measured, self._pace[1] + edges
            ended = report.number == self._rounds - 1
            last = after.complete and report is after.reports[-1]
            if last or self._silent >= (_SECONDS_BETWEEN_EPOCHS if ended else _SECONDS_BETWEEN_ROUNDS):
                self._say(self._epoch_line(report) if ended else self._round_line(report))
                self._silent = 0.0
        if after.complete:
            self._tell_end(after)

    def _epoch_line(self, report: RoundReport) -> str:
        head = f"epoch {report.epoch + 1}/{self._epochs}: {_figures(self._epoch)}"
        return f"{head}{_held_out(report.held_out)}, {self._left()}"

    def _round_line(self, report: RoundReport) -> str:
        return (
            f"epoch {report.epoch + 1}/{self._epochs}, round {report.number + 1}: {_figures([report])}, {self._left()}"
        )

    def _left(self) -> str:
        seconds, edges = self._pace
        left = max(self._epochs * self._edges - self._trained, 0)
        return f"{seconds / max(edges, 1) * left:.0f} s left"

    def _tell_end(self, after: Manifest) -> None:
        if after.epoch + 1 < self._epochs:
            self._say(f"stopped early, after epoch {after.epoch + 1}: no improvement in the last epochs")
        if after.best:
            self._say(f"kept: epoch {after.best.epoch + 1}, the best one ({after.history[after.best.epoch]:.4f})")


def _figures(reports: Sequence[RoundReport]) -> str:
    edges = sum(sum(report.edges.values()) for report in reports)
    loss = sum(sum(report.loss.values()) for report in reports)
    seconds = sum(report.seconds for report in reports)
    return f"loss {loss / max(edges, 1):.4f}, {edges:,} edges, {edges / max(seconds, 1e-9):,.0f} edges/s"


def _held_out(measured: ValidationResult | None) -> str:
    if measured is None:
        return ""
    mrr = "" if measured.monitor_mrr is None else f", monitor MRR {measured.monitor_mrr:.4f}"
    return f", held-out loss {measured.held_out_loss:.4f}{mrr}"
