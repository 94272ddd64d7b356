"""Measures one point in this process: `python -m benchmarks.scaling.measure '{"edges": 1000000, ...}'`.

`'{}'` measures the machine.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from benchmarks.machine import core_count
from benchmarks.packed_graph import write_graph
from benchmarks.scaling.points import Machine, Measurement, Point, point_config
from twhin_spark.cli.console import Printer
from twhin_spark.tables.session import open_session
from twhin_spark.training.planning.calibration import measure_speed
from twhin_spark.training.settings import relation_settings, train_settings
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.train import train

_EMPTY_TASKS = 1000
_REPEATS = 7


def measure(point: Point) -> Measurement:
    """Train a point's graph, which is written before if it is not there."""
    config = point_config(point)
    graph = Path(config.output)
    if not (graph / "tables" / "graph_versions").exists():
        shutil.rmtree(graph, ignore_errors=True)
        spark = open_session("twhin-spark bench")
        sizes = {"entities": point.entities, "edges": point.edges, "partitions": config.graph.partitions}
        write_graph(spark, config.output, **sizes, relations=("follow",))
        spark.stop()
    master = f"local-cluster[{point.executors},1,4096]" if point.executors else f"local[{point.lanes * point.threads}]"
    spark = open_session("twhin-spark bench", extra={"spark.master": master})
    run = train(spark, config, Printer().progress)
    reports = run.folder.reports()
    spark.stop()
    run.folder.delete()
    return _measurement(reports)


def measure_machine() -> Machine:
    """Measure the kernels alone and beside others, and empty tasks."""
    config = point_config(Point(1_000_000))
    settings, relation, dim = train_settings(config), relation_settings(config, "follow"), config.training.dim

    def edge_seconds(processes: int) -> float:
        speeds = (
            measure_speed(settings, relation, dim=dim, entities=100_000, output=config.output, slots=processes)
            for _ in range(_REPEATS)
        )
        return median(speed.edge_seconds for speed in speeds)

    alone, beside = edge_seconds(1), edge_seconds(core_count())
    spark = open_session("twhin-spark bench")
    empty = _empty_task_seconds(spark)
    spark.stop()
    return Machine(empty, alone, beside)


def _measurement(reports: list[RoundReport]) -> Measurement:
    usages = [usage for report in reports for usage in report.tasks]
    edges = sum(sum(report.edges.values()) for report in reports)
    logs = [np.log([usage.kernel_seconds for usage in report.tasks]) for report in reports if len(report.tasks) > 1]
    deviations = np.concatenate([kernels - kernels.mean() for kernels in logs]) if logs else np.zeros(1)
    kernel, edge, read, write = (
        sum(getattr(usage, f"{part}_seconds") for usage in usages) for part in ("kernel", "edge", "read", "write")
    )
    return Measurement(
        seconds_per_edge=sum(report.seconds for report in reports) / edges,
        state_bytes_per_edge=sum(usage.read_bytes + usage.written_bytes for usage in usages) / edges,
        peak_gb=max(usage.peak_rss_bytes for usage in usages) / 1e9,
        edges=edges,
        rounds=len(reports),
        kernel=kernel,
        edge=edge,
        read=read,
        write=write,
        spread=float(deviations.std()),
    )


def _empty_task_seconds(spark: SparkSession) -> float:
    """Return the driver's seconds for each of many tasks that do nothing."""

    def nothing(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    seconds = []
    for _ in range(2):  # the first time starts the workers
        started = time.perf_counter()
        spark.range(0, _EMPTY_TASKS, 1, _EMPTY_TASKS).mapInArrow(nothing, "id BIGINT").write.format("noop").mode(
            "overwrite"
        ).save()
        seconds.append((time.perf_counter() - started) / _EMPTY_TASKS)
    return seconds[-1]


if __name__ == "__main__":
    fields = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(asdict(measure(Point(**fields)) if fields else measure_machine())) + "\n")
