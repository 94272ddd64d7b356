"""The lines that a training prints."""

from __future__ import annotations

from twhin_spark.training.progress import TrainingProgress
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.round_report import RoundReport


def _after(epoch: int, number: int, edges: int, *, complete: bool = False) -> Manifest:
    """Return the manifest of a round of ten seconds."""
    report = RoundReport(epoch, number, 10.0, {"follow": edges}, {"follow": 2.0 * edges})
    return Manifest("run", 1, epoch, number, complete, 4, [], {}, "cpu", [report])


def test_an_epoch_ends_with_its_last_round_however_many_edges_were_drawn() -> None:
    lines: list[str] = []
    progress = TrainingProgress(lines.append, epochs=2, rounds=3, edges=300, earlier=[])
    for epoch, drawn in enumerate([(110, 100, 80), (120, 100, 95)]):
        for number, edges in enumerate(drawn):
            progress.add(_after(epoch, number, edges, complete=(epoch, number) == (1, 2)))
    assert lines == [
        "epoch 1/2, round 1: loss 2.0000, 110 edges, 11 edges/s, 45 s left",
        "epoch 1/2, round 2: loss 2.0000, 100 edges, 10 edges/s, 37 s left",
        "epoch 1/2: loss 2.0000, 290 edges, 10 edges/s, 32 s left",
        "epoch 2/2, round 1: loss 2.0000, 120 edges, 12 edges/s, 19 s left",
        "epoch 2/2, round 2: loss 2.0000, 100 edges, 10 edges/s, 9 s left",
        "epoch 2/2: loss 2.0000, 315 edges, 10 edges/s, 0 s left",
    ]


def test_a_resumed_epoch_counts_the_rounds_before() -> None:
    lines: list[str] = []
    earlier = _after(0, 0, 110).reports
    progress = TrainingProgress(lines.append, epochs=1, rounds=2, edges=200, earlier=earlier)
    progress.add(_after(0, 1, 90, complete=True))
    assert lines == ["epoch 1/1: loss 2.0000, 200 edges, 10 edges/s, 0 s left"]
