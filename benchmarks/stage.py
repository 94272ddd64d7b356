"""The training stage in this process, and where its wall time goes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.console import say
from benchmarks.jobs import run_job
from twhin_spark.config import load_config
from twhin_spark.tables.session import open_session
from twhin_spark.training.run import train

KERNELS = "kernels"
_PARTS = {
    KERNELS: "kernel_seconds",
    "edges": "edge_seconds",
    "read state": "read_seconds",
    "write state": "write_seconds",
}


@dataclass(frozen=True)
class Trained:
    """A training. Seconds: of the stage, and from the commit of its first vectors to its end.

    parts: what those later seconds went to, averaged over the task slots in use.
    tasks: of each round.
    """

    stage_seconds: float
    seconds: float
    parts: dict[str, float]
    tasks: list[int]
    edges: int
    plan: str

    @property
    def kernel_seconds(self) -> float:
        return self.parts[KERNELS]


def train_and_account(config_file: Path) -> Trained:
    """Builds the graph where there is none yet, and trains on it, on all cores of this machine."""
    config = load_config(config_file, [])
    if not (Path(config.output) / "tables" / "graph_versions").exists():
        say("building the graph")
        run_job("build-graph", config_file)
    said: list[str] = []
    spark = open_session("twhin-spark benchmark")
    try:
        slots = spark.sparkContext.defaultParallelism
        begun = time.time()
        run = train(spark, config, said.append)
        ended = time.time()
    finally:
        spark.stop()
    manifests = sorted(Path(run.folder.root, "manifests").glob("*.json"))
    reports = [report for report in (json.loads(path.read_text())["report"] for path in manifests) if report]
    seconds = ended - manifests[0].stat().st_mtime
    edges = sum(sum(report["edges"].values()) for report in reports)
    tasks = [len(report["tasks"]) for report in reports]
    plan = next(line for line in said if line.startswith("run "))
    return Trained(ended - begun, seconds, _parts(reports, slots, seconds), tasks, edges, plan.partition(": ")[2])


def _parts(reports: list[dict[str, Any]], slots: int, seconds: float) -> dict[str, float]:
    """Seconds of a slot, the mean over those in use; what no task accounts for is Spark's and the driver's."""
    parts = dict.fromkeys([*_PARTS, "waiting for the round's last task"], 0.0)
    for report in reports:
        used = min(slots, len(report["tasks"]))
        for part, key in _PARTS.items():
            parts[part] += sum(task[key] for task in report["tasks"]) / used
        if len(report["tasks"]) == used:  # one task a slot: the others' slots wait for the longest
            taken = [sum(task[key] for key in _PARTS.values()) for task in report["tasks"]]
            parts["waiting for the round's last task"] += max(taken) - sum(taken) / used
    parts["Spark, merging, commits"] = seconds - sum(parts.values())
    return parts
