"""Check plans: train graphs of different shapes and print what was predicted and what was measured of each.

Each graph is trained in a process of its own, so that measurements of memory are independent. The time is that of the
last epoch, as Spark reads the edges in the first. Run nothing else at the same time, because seconds are measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median
from typing import Any

import click

from benchmarks.planned_trainings import TrainingCase, train_case
from twhin_spark import __version__

CASES = {
    # It fits one task, which trains several epochs between commits.
    "small": TrainingCase(
        15_000, 250_000, 32, {"dim": 100, "in_batch_negatives": 50, "uniform_negatives": 50, "epochs": 24}
    ),
    # It has many edges for its entities, so the kernels take nearly all of the time.
    "dense": TrainingCase(250_000, 2_000_000, 32, {"dim": 128, "in_batch_negatives": 500, "uniform_negatives": 500}),
    # It has many entities for its edges and little memory: tasks walk super-groups, and moving state takes its share.
    "large": TrainingCase(
        1_500_000,
        3_000_000,
        128,
        {"dim": 128, "in_batch_negatives": 50, "uniform_negatives": 50, "task_memory_gb": 0.4},
    ),
}


def measure(name: str) -> dict[str, Any]:
    """Train a case in this process and return what was predicted and what was measured."""
    case = CASES[name]
    predicted, reports = train_case(name, case)
    last = [report for report in reports if report.epoch == reports[-1].epoch]
    usages = [usage for report in reports for usage in report.tasks]
    seconds = sum(report.seconds for report in last)
    peak = max(usage.peak_rss_bytes for usage in usages)
    slowest = [max(u.seconds for u in r.tasks) / median([u.seconds for u in r.tasks]) for r in last if r.tasks]
    return {
        "name": f"plan_{name}",
        "groups": predicted.plan.layout.groups,
        "slices": predicted.plan.layout.slices,
        "predicted": {
            "epoch_seconds": round(predicted.epoch_seconds, 2),
            "peak_rss_mb": round(predicted.plan.task.total / 1e6),
        },
        "measured": {"epoch_seconds": round(seconds, 2), "peak_rss_mb": round(peak / 1e6)},
        "ratio": {
            "epoch_seconds": round(predicted.epoch_seconds / seconds, 2),
            "peak_rss_mb": round(predicted.plan.task.total / peak, 2),
        },
        "slowest_task_over_median": round(max(slowest), 2),
        "versions": {"twhin-spark": __version__},
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False, type=click.Choice(list(CASES)))
def main(name: str | None) -> None:
    """Compare plans with trainings of three graphs, or of the one with this NAME; print a JSON line for each."""
    if name is not None:
        click.echo(json.dumps(measure(name)))
        return
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.plan", case]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        click.echo(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
