"""Are plans true? Trains graphs of different shapes, and prints what was predicted and what was measured of each.

Each graph is trained in a process of its own, so that one's memory does not show in another's. The time is that of
the second epoch: in the first Spark reads the edges. Run it while nothing else runs: it measures seconds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.packed_graph import write_graph
from twhin_spark import __version__
from twhin_spark.config import Config
from twhin_spark.console import Narrator
from twhin_spark.graph.version import latest_graph
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.session import open_session
from twhin_spark.training.forecast import forecast
from twhin_spark.training.plan import count_graph
from twhin_spark.training.run import train

BUILD = Path("build/bench-plan")
RELATIONS = ("follow", "like")


@dataclass(frozen=True)
class Shape:
    """A graph and how it is trained."""

    entities: int
    edges: int
    partitions: int
    training: dict[str, Any]


SHAPES = {
    # Fits one task, which trains several epochs between commits.
    "small": Shape(15_000, 500_000, 32, {"dim": 100, "in_batch_negatives": 50, "uniform_negatives": 50}),
    # Many edges for its entities: the kernels take nearly all of the time.
    "dense": Shape(250_000, 2_000_000, 32, {"dim": 128, "in_batch_negatives": 500, "uniform_negatives": 500}),
    # Many entities for its edges, and little memory: tasks walk super-groups, and moving state takes its share.
    "large": Shape(
        1_500_000,
        3_000_000,
        128,
        {"dim": 128, "in_batch_negatives": 50, "uniform_negatives": 50, "task_memory_gb": 0.4},
    ),
}


def main() -> None:
    for name in SHAPES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.plan", name], stdout=subprocess.PIPE, text=True, check=True
        )
        click.echo(done.stdout.splitlines()[-1])


def measure(name: str) -> dict[str, Any]:
    shape = SHAPES[name]
    config = _config(name, shape)
    shutil.rmtree(config.output, ignore_errors=True)
    spark = open_session("twhin-spark bench-plan", log_file=None)
    write_graph(
        spark,
        config.output,
        entities=shape.entities,
        edges=shape.edges,
        partitions=shape.partitions,
        relations=RELATIONS,
    )
    store = TableStore(spark, config.output)
    slots = spark.sparkContext.defaultParallelism
    found = forecast(config, count_graph(store, latest_graph(store)), partitions=shape.partitions, slots=slots)
    run = train(spark, config, Narrator().progress)
    reports = run.folder.reports()
    second = [report for report in reports if report.epoch == 1]
    usages = [usage for report in reports for usage in report.tasks]
    spark.stop()
    shutil.rmtree(config.output)
    seconds = sum(report.seconds for report in second)
    peak = max(usage.peak_rss_bytes for usage in usages)
    slowest = [
        max(u.seconds for u in r.tasks) / (sum(u.seconds for u in r.tasks) / len(r.tasks)) for r in second if r.tasks
    ]
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
        "slowest_task_over_mean": round(max(slowest), 2),
        "versions": {"twhin-spark": __version__},
    }


def _config(name: str, shape: Shape) -> Config:
    return Config.model_validate(
        {
            "name": name,
            "output": str(BUILD / name),
            "entity_types": ["node"],
            "relations": {relation: {"source": "node", "target": "node"} for relation in RELATIONS},
            "logs": {
                "none": {
                    "path": "none",
                    "format": "csv",
                    "select": dict.fromkeys(("relation", "source", "target"), "x"),
                }
            },
            "split": {"by": "fraction", "validation": 0},
            "graph": {"partitions": shape.partitions},
            "training": {"epochs": 2, "batch_size": 500, "loss": "logistic", **shape.training},
        }
    )


if __name__ == "__main__":
    if len(sys.argv) == 2:
        click.echo(json.dumps(measure(sys.argv[1])))
    else:
        main()
