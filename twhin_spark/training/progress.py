"""Progress lines of a training: one for each epoch, and some between rounds if an epoch takes long."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.round_report import RoundReport, ValidationResult

_SECONDS_BETWEEN_ROUNDS = 5.0
_SECONDS_BETWEEN_EPOCHS = 1.0


class TrainingProgress:
    """Printer of what was trained.

    Time is that of the reports, not of a clock, so epochs that are committed together print the same lines as others.
    """

    def __init__(
        self,
        print_line: Callable[[str], None],
        *,
        epochs: int,
        rounds: int,
        edges: int,
        earlier: Sequence[RoundReport],
    ) -> None:
        """Begin after the `earlier` reports of a run of some epochs, each with `rounds` and about `edges`."""
        self._print, self._epochs, self._rounds, self._edges = print_line, epochs, rounds, edges
        self._epoch = [report for report in earlier if earlier and report.epoch == earlier[-1].epoch]
        self._trained = sum(sum(report.edges.values()) for report in earlier)  # edges since the run began
        self._silent = 0.0  # seconds of training since the last line
        self._pace: tuple[float, int] = (0.0, 0)  # seconds and edges of this driver

    def add(self, manifest: Manifest) -> None:
        """Print what a commit adds: a line for each epoch that ended, or one for a round if the last line is old."""
        for report in manifest.reports:
            if self._epoch and self._epoch[-1].epoch != report.epoch:
                self._epoch = []
            self._epoch.append(report)
            edges = sum(report.edges.values())
            validation_seconds = report.held_out.seconds if report.held_out else 0.0
            self._trained += edges
            self._silent += report.seconds
            self._pace = self._pace[0] + report.seconds + validation_seconds, self._pace[1] + edges
            ended = report.number == self._rounds - 1
            last = manifest.complete and report is manifest.reports[-1]
            if last or self._silent >= (_SECONDS_BETWEEN_EPOCHS if ended else _SECONDS_BETWEEN_ROUNDS):
                self._print(self._epoch_line(report) if ended else self._round_line(report))
                self._silent = 0.0
        if manifest.complete:
            self._print_end(manifest)

    def _epoch_line(self, report: RoundReport) -> str:
        head = f"epoch {report.epoch + 1}/{self._epochs}: {_figures(self._epoch)}"
        return f"{head}{_validation(report.held_out)}, {self._time_left()}"

    def _round_line(self, report: RoundReport) -> str:
        head = f"epoch {report.epoch + 1}/{self._epochs}, round {report.number + 1}"
        return f"{head}: {_figures([report])}, {self._time_left()}"

    def _time_left(self) -> str:
        seconds, edges = self._pace
        left = max(self._epochs * self._edges - self._trained, 0)
        return f"{seconds / max(edges, 1) * left:.0f} s left"

    def _print_end(self, manifest: Manifest) -> None:
        if manifest.epoch + 1 < self._epochs:
            self._print(f"stopped early, after epoch {manifest.epoch + 1}: no improvement in the last epochs")
        if manifest.best:
            epoch = manifest.best.epoch
            self._print(f"kept: epoch {epoch + 1}, the best one ({manifest.history[epoch]:.4f})")


def _figures(reports: Sequence[RoundReport]) -> str:
    edges = sum(sum(report.edges.values()) for report in reports)
    loss = sum(sum(report.loss.values()) for report in reports)
    seconds = sum(report.seconds for report in reports)
    return f"loss {loss / max(edges, 1):.4f}, {edges:,} edges, {edges / max(seconds, 1e-9):,.0f} edges/s"


def _validation(result: ValidationResult | None) -> str:
    if result is None:
        return ""
    mrr = "" if result.monitor_mrr is None else f", monitor MRR {result.monitor_mrr:.4f}"
    return f", held-out loss {result.held_out_loss:.4f}{mrr}"
