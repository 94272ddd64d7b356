"""What a benchmark found: one JSON line on stdout, and the store that the page is made from."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

from benchmarks.paths import RECORDS

STORE = RECORDS / "benchmarks.json"


@dataclass(frozen=True)
class Result:
    """ours and peer: medians, in `unit`. ratio: above 1 is in our favour, unless the benchmark says otherwise.

    repeats: by contender, every measurement in `unit`.
    parts: by bar of the plot, the wall time that each part took, in `parts_unit`.
    facts: what else is to be known, by its label.
    """

    name: str
    ours: float
    peer: float
    ratio: float
    unit: str
    versions: Mapping[str, str]
    repeats: Mapping[str, list[float]] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    parts_unit: str = "seconds"
    date: str = field(default_factory=lambda: today())
    cpu: str = field(default_factory=lambda: cpu_name())
    cores: int = field(default_factory=lambda: core_count())

    def line(self) -> str:
        short = {key: rounded(getattr(self, key)) for key in ("ours", "peer", "ratio")}
        return json.dumps({"name": self.name, **short, "unit": self.unit, "versions": dict(self.versions)})


def record(result: Result) -> None:
    """Prints the result's line, and puts it in the store in place of an earlier one of its name."""
    sys.stdout.write(result.line() + "\n")
    sys.stdout.flush()
    results = {**load(), result.name: result}
    content = {name: asdict(one) for name, one in sorted(results.items())}
    STORE.write_text(json.dumps(rounded(content), indent=1, ensure_ascii=False) + "\n")


def load(path: Path = STORE) -> dict[str, Result]:
    """The stored results by name."""
    if not path.exists():
        return {}
    return {name: Result(**fields) for name, fields in json.loads(path.read_text()).items()}


def own_versions() -> dict[str, str]:
    """Of twhin-spark, and of the packages that decide its speed."""
    np.zeros((2, 2)) @ np.zeros((2, 2))  # so that BLAS is loaded
    blas = next(one for one in threadpool_info() if one["user_api"] == "blas")
    packages = {name: version(name) for name in ("twhin-spark", "numpy", "scipy", "pyspark", "delta-spark")}
    return {**packages, str(blas["internal_api"]): f"{blas['version']} {blas.get('architecture', '')}".strip()}


def today() -> str:
    """Return the date in UTC, as ISO 8601."""
    return datetime.now(UTC).date().isoformat()


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def core_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def rounded(value: object) -> object:
    """Four digits are more than any of it is worth."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return value
