"""Are plans true? Trains graphs of different shapes, and prints what was predicted and what was measured of each.

Each graph is trained in a process of its own, so that one's memory does not show in another's. The time is that of
the last epoch: in the first Spark reads the edges. Run it while nothing else runs: it measures seconds.
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
    # Fits one task, which trains several epochs between commits.
    "small": TrainingCase(
        15_000, 250_000, 32, {"dim": 100, "in_batch_negatives": 50, "uniform_negatives": 50, "epochs": 24}
    ),
    # Many edges for its entities: the kernels take nearly all of the time.
    "dense": TrainingCase(250_000, 2_000_000, 32, {"dim": 128, "in_batch_negatives": 500, "uniform_negatives": 500}),
    # Many entities for its edges, and little memory: tasks walk super-groups, and moving state takes its share.
    "large": TrainingCase(
        1_500_000,
        3_000_000,
        128,
        {"dim": 128, "in_batch_negatives": 50, "uniform_negatives": 50, "task_memory_gb": 0.4},
    ),
}


def main() -> None:
    for name in CASES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.plan", name], stdout=subprocess.PIPE, text=True, check=True
        )
        click.echo(done.stdout.splitlines()[-1])


def measure(name: str) -> dict[str, Any]:
    """Trains a shape in this process; returns what was predicted and what was measured."""
    shape = CASES[name]
    found, reports = train_case(name, shape)
    last = [report for report in reports if report.epoch == reports[-1].epoch]
    usages = [usage for report in reports for usage in report.tasks]
    seconds = sum(report.seconds for report in last)
    peak = max(usage.peak_rss_bytes for usage in usages)
    slowest = [max(u.seconds for u in r.tasks) / median([u.seconds for u in r.tasks]) for r in last if r.tasks]
    return {
        "name": f"plan_{name}",
        "groups": found.plan.layout.groups,
        "super_groups": found.plan.layout.super_groups,
        "predicted": {
            "epoch_seconds": round(found.epoch_seconds, 2),
            "peak_rss_mb": round(found.plan.task.total / 1e6),
        },
        "measured": {"epoch_seconds": round(seconds, 2), "peak_rss_mb": round(peak / 1e6)},
        "ratio": {
            "epoch_seconds": round(found.epoch_seconds / seconds, 2),
            "peak_rss_mb": round(found.plan.task.total / peak, 2),
        },
        "slowest_task_over_median": round(max(slowest), 2),
        "versions": {"twhin-spark": __version__},
    }


if __name__ == "__main__":
    if len(sys.argv) == 2:
        click.echo(json.dumps(measure(sys.argv[1])))
    else:
        main()
