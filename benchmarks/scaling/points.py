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
from benchmarks.paths import RECORDS, ROOT
from benchmarks.speed.records import rounded

STORE = RECORDS / "scaling.json"
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
    the logarithm of the kernels' time among the tasks of a round. empty_task: driver's seconds for an empty task.
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
    empty_task: float


def measure_missing() -> None:
    """Measure the points that are not kept yet."""
    for point in POINTS:
        if point.name not in load():
            progress(f"measuring {point}")
            command = [sys.executable, "-m", "benchmarks.scaling.measure", json.dumps(asdict(point))]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
            fields = json.loads(done.stdout.splitlines()[-1])
            _keep(point, fields)


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


def _keep(point: Point, fields: dict[str, Any]) -> None:
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()
    about = {"commit": commit, "date": today(), "cpu": cpu_name(), "cores": core_count()}
    kept = {**load(), point.name: rounded({**fields, **about})}
    STORE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
