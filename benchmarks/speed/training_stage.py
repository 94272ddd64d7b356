"""The training stage in this process, and the parts of its wall time."""

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
    """Wall time of a training.

    stage_seconds: seconds of the whole stage.
    seconds: seconds from the commit of the first vectors to the end.
    parts: seconds of each part of `seconds`, averaged over the task slots in use.
    tasks: the number of tasks of each round, or of each commit if a task trains several epochs at once.
    plan: the plan as the stage printed it.
    """

    stage_seconds: float
    seconds: float
    parts: dict[str, float]
    tasks: list[int]
    edges: int
    plan: str

    @property
    def kernel_seconds(self) -> float:
        """Return the seconds in kernels."""
        return self.parts[KERNELS]


def train_and_time(config_file: Path) -> StageTiming:
    """Build the config's graph if there is none, and train on it on all cores of this machine."""
    config = load_config(config_file, [])
    if not (Path(config.output) / "tables" / "graph_versions").exists():
        progress("building the graph")
        run_job("build-graph", config_file)
    messages: list[str] = []
    spark = open_session("twhin-spark benchmark")
    try:
        slots = spark.sparkContext.defaultParallelism
        begun = time.time()
        run = train(spark, config, messages.append)
        ended = time.time()
    finally:
        spark.stop()
    first_commit = min(Path(run.folder.root, "manifests").glob("*.json"))
    seconds = ended - first_commit.stat().st_mtime
    reports = run.folder.reports()
    edges = sum(sum(report.edges.values()) for report in reports)
    # If a task trains several epochs at once, the report of the last one contains its usage.
    rounds = [report.tasks for report in reports if report.tasks]
    tasks = [len(usages) for usages in rounds]
    plan = next(message for message in messages if run.run_id in message)
    return StageTiming(ended - begun, seconds, _parts(rounds, slots, seconds), tasks, edges, plan.partition(": ")[2])


def _parts(rounds: Sequence[Sequence[TaskUsage]], slots: int, seconds: float) -> dict[str, float]:
    """Return the seconds of each part, averaged over the slots in use; the rest is spent by Spark and the driver."""
    parts = dict.fromkeys([*_PARTS, WAITING], 0.0)
    for usages in rounds:
        used = min(slots, len(usages))
        for part, field in _PARTS.items():
            parts[part] += sum(getattr(usage, field) for usage in usages) / used
        if len(usages) == used:  # one task a slot: the other slots wait for the longest task
            task_seconds = [usage.seconds for usage in usages]
            parts[WAITING] += max(task_seconds) - sum(task_seconds) / used
    parts["Spark, merging, commits"] = seconds - sum(parts.values())
    return parts
