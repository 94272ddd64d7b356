"""Train a model five times as large as a task's memory, and one of the same shape that fits: memory, bytes, time.

Each is trained for one epoch in a process of its own. 10M entities and 50M edges take 10 GB of disk and a quarter of an
hour on two cores. Run nothing else at the same time, because seconds are measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import click

from benchmarks.planned_trainings import TrainingCase, train_case
from twhin_spark import __version__

_TRAINING = {
    "dim": 128, "in_batch_negatives": 500, "uniform_negatives": 500, "epochs": 1, "loss": "softmax",
    "task_memory_gb": 1.0,
}  # fmt: skip
_FITS, _LARGE = "fits", "large"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--entities", default=10_000_000, type=click.IntRange(min=1000), help="Entities of the large graph.")
@click.option("--edges", default=50_000_000, type=click.IntRange(min=1000), help="Edges of the large graph.")
@click.option(
    "--share",
    default=0.1,
    type=click.FloatRange(0, 1),
    help="Size of the graph that fits over the large one.",
)
@click.option("--only", type=click.Choice([_FITS, _LARGE]), help="Train this graph alone, in this process.")
def main(entities: int, edges: int, share: float, only: str | None) -> None:
    """Train a model larger than a task's memory and one that fits; the last line is JSON."""
    if only is not None:
        factor = share if only == _FITS else 1.0
        case = TrainingCase(round(entities * factor), round(edges * factor), 256, _TRAINING)
        click.echo(json.dumps(_measure(only, case)))
        return
    sizes = ["--entities", str(entities), "--edges", str(edges), "--share", str(share)]
    measured = {}
    for name in (_FITS, _LARGE):
        command = [sys.executable, "-m", "benchmarks.scale", *sizes, "--only", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        measured[name] = json.loads(done.stdout.splitlines()[-1])
    ratio = round(measured[_LARGE]["us_an_edge"] / measured[_FITS]["us_an_edge"], 2)
    line = {
        "name": "scale",
        **measured,
        "time_an_edge_large_over_fits": ratio,
        "versions": {"twhin-spark": __version__},
    }
    click.echo(json.dumps(line))


def _measure(name: str, case: TrainingCase) -> dict[str, Any]:
    forecast, reports = train_case(f"scale-{name}", case)
    usages = [usage for report in reports for usage in report.tasks]
    edges = sum(sum(report.edges.values()) for report in reports)
    seconds = sum(report.seconds for report in reports)
    return {
        "entities": case.entities,
        "edges": edges,
        "model_gb": round(forecast.plan.work.model_bytes / 1e9, 2),
        "groups": forecast.plan.layout.groups,
        "rounds": len(reports),
        "epoch_seconds": round(seconds, 1),
        "us_an_edge": round(1e6 * seconds / edges, 2),
        "state_read_gb": round(sum(usage.read_bytes for usage in usages) / 1e9, 2),
        "state_written_gb": round(sum(usage.written_bytes for usage in usages) / 1e9, 2),
        "peak_rss_mb": round(max(usage.peak_rss_bytes for usage in usages) / 1e6),
        "task_seconds": {
            part: round(sum(getattr(usage, f"{part}_seconds") for usage in usages), 1)
            for part in ("edge", "read", "kernel", "write")
        },
    }


if __name__ == "__main__":
    main()
