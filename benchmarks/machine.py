"""The machine and the versions that something was measured with."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]


def installed_versions() -> dict[str, str]:
    """Return the versions of twhin-spark and of the packages that decide its speed."""
    np.zeros((2, 2)) @ np.zeros((2, 2))  # so that BLAS is loaded
    blas = next(library for library in threadpool_info() if library["user_api"] == "blas")
    packages = {name: version(name) for name in ("twhin-spark", "numpy", "scipy", "pyspark", "delta-spark")}
    return {**packages, str(blas["internal_api"]): f"{blas['version']} {blas.get('architecture', '')}".strip()}


def today() -> str:
    """Return the date in UTC, as ISO 8601."""
    return datetime.now(UTC).date().isoformat()


def cpu_name() -> str:
    """Return the name of this machine's CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def core_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
