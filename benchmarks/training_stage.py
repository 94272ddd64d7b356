"""The training stage in this process, and where its wall time goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command_line import run_job
from benchmarks.console import progress
from twhin_spark.config import load_config
from twhin_spark.tables.session import open_session
from twhin_spark.training.state.round_report import TaskUsage
from twhin_spark.training.train import train

KERNELS = "kernels"
WAITING = "waiting for the round's last task"
_PARTS = {
    KERNELS: "kernel_seconds",
    "edges": "edge_seconds",
    "read state": "read_seconds",
    "write state": "write_seconds",
}


@dataclass(frozen=True)
class StageTiming:
    """A training. Seconds: of the stage, and from the commit of its first vectors to its end.

    parts: what those later seconds went to, averaged over the task slots in use.
    tasks: of each round, or of each commit where a task trains several epochs at once.
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


def train_and_time(config_file: Path) -> StageTiming:
    """Builds the graph where there is none yet, and trains on it, on all cores of this machine."""
    config = load_config(config_file, [])
    if not (Path(config.output) / "tables" / "graph_versions").exists():
        progress("building the graph")
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
    first_commit = min(Path(run.folder.root, "manifests").glob("*.json"))
    seconds = ended - first_commit.stat().st_mtime
    reports = run.folder.reports()
    edges = sum(sum(report.edges.values()) for report in reports)
    # Where a task trains several epochs at once, the last one's report has what it took.
    rounds = [report.tasks for report in reports if report.tasks]
    tasks = [len(usages) for usages in rounds]
    plan = next(line for line in said if line.startswith("run "))
    return StageTiming(ended - begun, seconds, _parts(rounds, slots, seconds), tasks, edges, plan.partition(": ")[2])


def _parts(rounds: Sequence[Sequence[TaskUsage]], slots: int, seconds: float) -> dict[str, float]:
    """Seconds of a slot, the mean over those in use; what no task accounts for is Spark's and the driver's."""
    parts = dict.fromkeys([*_PARTS, WAITING], 0.0)
    for usages in rounds:
        used = min(slots, len(usages))
        for part, field in _PARTS.items():
            parts[part] += sum(getattr(usage, field) for usage in usages) / used
        if len(usages) == used:  # one task a slot: the others' slots wait for the longest
            taken = [usage.seconds for usage in usages]
            parts[WAITING] += max(taken) - sum(taken) / used
    parts["Spark, merging, commits"] = seconds - sum(parts.values())
    return parts
