"""Points: trainings that are measured here, each in a process of its own, and kept with commit and machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.console import progress
from benchmarks.machine import core_count, cpu_name, today
from benchmarks.paths import BUILD, RECORDS, ROOT
from benchmarks.speed.records import rounded
from twhin_spark.config import Config

STORE = RECORDS / "scaling.json"
MACHINE = "machine"
EDGES_AN_ENTITY = 10


@dataclass(frozen=True)
class Point:
    """A training of one epoch.

    negatives: in-batch and uniform ones each. executors: separate JVMs of one core; 0 stands for a local session of
    `lanes · threads` cores. held_back: the simulation is not fitted to the point.
    """

    edges: int
    groups: int = 1
    threads: int = 1
    lanes: int = 1
    executors: int = 0
    negatives: int = 500
    batch_size: int = 1000
    edges_an_entity: int = EDGES_AN_ENTITY
    held_back: bool = False

    @property
    def entities(self) -> int:
        return self.edges // self.edges_an_entity

    @property
    def name(self) -> str:
        values = {**asdict(self), "held_back": 0}.values()
        return "-".join(map(str, values))


def point_config(point: Point) -> Config:
    """Return the config of a point's training."""
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


_NONE = {"source": "x", "target": "x", "relation": "x"}
_M = 1_000_000
POINTS = (
    Point(_M),
    Point(_M, threads=2),
    Point(10 * _M),
    Point(10 * _M, threads=2),
    Point(10 * _M, batch_size=8000),
    Point(10 * _M, batch_size=8000, threads=2),
    Point(10 * _M, negatives=50),
    Point(10 * _M, negatives=50, threads=2),
    Point(10 * _M, threads=2, edges_an_entity=100),
    Point(10 * _M, groups=4, threads=2),
    Point(10 * _M, groups=4, lanes=2),
    Point(10 * _M, groups=4, executors=1),
    Point(10 * _M, groups=4, lanes=2, executors=2),
    Point(10 * _M, groups=16, lanes=2, held_back=True),
    Point(10 * _M, groups=64, lanes=2, held_back=True),
    Point(10 * _M, groups=16, threads=2, held_back=True),
    Point(100 * _M, negatives=50, threads=2),
)


@dataclass(frozen=True)
class Measurement:
    """What was measured of a point.

    seconds_per_edge: wall time of the epoch over its edges. state_bytes_per_edge: state read and written. peak_gb:
    greatest memory of a worker. kernel, edge, read, write: seconds of all tasks together. spread: standard deviation of
    the logarithm of the kernels' time among the tasks of a round.
    """

    seconds_per_edge: float
    state_bytes_per_edge: float
    peak_gb: float
    edges: int
    rounds: int
    kernel: float
    edge: float
    read: float
    write: float
    spread: float


@dataclass(frozen=True)
class Machine:
    """What was measured of this machine, in seconds.

    empty_task: of the driver for a task that does nothing. alone, beside: of the kernels for an edge, in one process of
    one thread, and in each of as many independent ones as the machine has cores.
    """

    empty_task: float
    alone: float
    beside: float


def measure_missing() -> None:
    """Measure the machine and the points that are not kept yet."""
    for name, argument in [(MACHINE, "{}"), *((point.name, json.dumps(asdict(point))) for point in POINTS)]:
        if name not in load():
            progress(f"measuring {name}: {argument}")
            command = [sys.executable, "-m", "benchmarks.scaling.measure", argument]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
            _keep(name, json.loads(done.stdout.splitlines()[-1]))


def measured_machine() -> Machine:
    """Return what is kept of the machine."""
    return Machine(**{name: load()[MACHINE][name] for name in Machine.__dataclass_fields__})


def load() -> dict[str, dict[str, Any]]:
    """Return the kept points, by name, with the fields of `Measurement`, commit and machine."""
    kept: dict[str, dict[str, Any]] = json.loads(STORE.read_text()) if STORE.exists() else {}
    return kept


def measured() -> Iterator[tuple[Point, Measurement]]:
    """Yield the points that are kept, in their order."""
    kept = load()
    for point in POINTS:
        if point.name in kept:
            fields = kept[point.name]
            yield point, Measurement(**{name: fields[name] for name in Measurement.__dataclass_fields__})


def _keep(name: str, fields: dict[str, Any]) -> None:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()
    about = {"commit": commit, "date": today(), "cpu": cpu_name(), "cores": core_count()}
    kept = {**load(), name: rounded({**fields, **about})}
    STORE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
