"""Spark workers without the driver's libraries, except numpy, scipy, pyarrow, pandas and pyspark."""

from __future__ import annotations

import re
from importlib.metadata import packages_distributions, requires
from pathlib import Path

ON_WORKERS = {"numpy", "scipy", "pyarrow", "pandas", "pyspark"}


def bare_workers() -> dict[str, str]:
    """Return the Spark properties under which workers lack every other requirement of the package."""
    required = {_normalized(line) for line in requires("twhin-spark") or [] if "extra" not in line} - ON_WORKERS
    missing = sorted(
        module
        for module, distributions in packages_distributions().items()
        if module.isidentifier() and required & set(map(_normalized, distributions))
    )
    return {
        "spark.executorEnv.PYTHONPATH": str(Path(__file__).parent),
        "spark.executorEnv.TWHIN_WORKER_LACKS": ",".join(missing),
    }


def _normalized(requirement: str) -> str:
    """Return the name of a distribution, as PyPI compares names."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
