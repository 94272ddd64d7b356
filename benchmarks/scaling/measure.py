"""Measures one point in this process: `python -m benchmarks.scaling.measure '{"edges": 1000000, ...}'`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from benchmarks.packed_graph import write_graph
from benchmarks.paths import BUILD
from benchmarks.scaling.points import Measurement, Point
from twhin_spark.cli.console import Printer
from twhin_spark.config import Config
from twhin_spark.tables.session import open_session
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.train import train

_EMPTY_TASKS = 1000
_NONE = {"source": "x", "target": "x", "relation": "x"}


def measure(point: Point) -> Measurement:
    """Train a point's graph, which is written before if it is not there."""
    config = _config(point)
    graph = Path(config.output)
    if not (graph / "tables" / "graph_versions").exists():
        shutil.rmtree(graph, ignore_errors=True)
        spark = open_session("twhin-spark bench")
        sizes = {"entities": point.entities, "edges": point.edges, "partitions": config.graph.partitions}
        write_graph(spark, config.output, **sizes, relations=("follow",))
        spark.stop()
    master = f"local-cluster[{point.executors},1,4096]" if point.executors else f"local[{point.lanes * point.threads}]"
    spark = open_session("twhin-spark bench", extra={"spark.master": master})
    empty = _empty_task_seconds(spark)
    run = train(spark, config, Printer().progress)
    reports = run.folder.reports()
    spark.stop()
    run.folder.delete()
    return _measurement(reports, empty)


def _measurement(reports: list[RoundReport], empty: float) -> Measurement:
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
        empty_task=empty,
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


def _config(point: Point) -> Config:
    name = f"scaling-{point.entities}-{point.edges}"
    return Config.model_validate(
        {
            "name": name,
            "output": str(BUILD / name),
            "entity_types": ["node"],
            "relations": {"follow": {"source": "node", "target": "node"}},
            "logs": {"none": {"path": "none", "format": "csv", "select": _NONE}},
            "split": {"by": "fraction", "validation": 0},
            "graph": {"partitions": 256},
            "training": {
                "epochs": 1,
                "dim": 128,
                "loss": "softmax",
                "batch_size": point.batch_size,
                "in_batch_negatives": point.negatives,
                "uniform_negatives": point.negatives,
                "groups": point.groups,
                "task_threads": point.threads,
                "task_memory_gb": 20.0,
            },
        }
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(Point(**json.loads(sys.argv[1]))))) + "\n")
