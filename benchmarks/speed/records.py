"""Results of benchmarks: a JSON line on stdout, and the store from which the page is generated."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.machine import core_count, cpu_name, today
from benchmarks.paths import RECORDS

STORE = RECORDS / "benchmarks.json"


@dataclass(frozen=True)
class Result:
    """The result of a benchmark.

    ours, peer: medians, in `unit`.
    ratio: above 1 if we are better, unless the benchmark says otherwise.
    repeats: every measurement in `unit`, by contender.
    parts: the wall time of each part in `parts_unit`, by bar of the plot.
    facts: further facts, by label.
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
    date: str = field(default_factory=today)
    cpu: str = field(default_factory=cpu_name)
    cores: int = field(default_factory=core_count)

    def line(self) -> str:
        """Return the result as a JSON line."""
        short = {key: rounded(getattr(self, key)) for key in ("ours", "peer", "ratio")}
        return json.dumps({"name": self.name, **short, "unit": self.unit, "versions": dict(self.versions)})


def record(result: Result) -> None:
    """Print a result's line and store it in place of an earlier result of its name."""
    sys.stdout.write(result.line() + "\n")
    sys.stdout.flush()
    results = {**load(), result.name: result}
    content = {name: asdict(stored) for name, stored in sorted(results.items())}
    STORE.write_text(json.dumps(rounded(content), indent=1, ensure_ascii=False) + "\n")


def load(path: Path = STORE) -> dict[str, Result]:
    """Return the stored results by name."""
    if not path.exists():
        return {}
    return {name: Result(**fields) for name, fields in json.loads(path.read_text()).items()}


def rounded(value: object) -> object:
    """Round all floats of a JSON document to four digits, which is more than measurements are worth."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return value
