"""The jobs as a cluster runs them: by spark-submit, from an archive, on workers that have little installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.bare_worker import bare_workers
from tests.support.configs import csv_log, write_config
from twhin_spark.tables.java import require_java

ROOT = Path(__file__).parents[1]
SECTIONS = {
    "relations": {"like": {"source": "user", "target": "item"}},
    "graph": {"partitions": 4},
    "training": {"dim": 8, "epochs": 2, "batch_size": 50, "uniform_negatives": 10},
    "evaluation": {"als": {"rank": 4, "iterations": 2}},
    "retrieval": {
        "queries": {
            "like": {"relation": "like", "exclude": ["like"], "k": 5, "recall": "like"},
            "mixed": {"relation": "like", "exclude": ["like"], "k": 5, "method": "mixture"},
        },
        "mixtures": {"clusters": 4},
    },
}


def _submit(job: str, folder: Path) -> dict[str, object]:
    """The result of a job, whose package comes from the archive alone."""
    command = [
        str(Path(sys.executable).parent / "spark-submit"),
        *("--properties-file", str(ROOT / "twhin_spark/tables/local/spark-defaults.conf")),
        *("--py-files", str(folder / "twhin_spark.zip")),
        *("--conf", f"spark.pyspark.python={sys.executable}"),
        *(part for name, value in bare_workers().items() for part in ("--conf", f"{name}={value}")),
        *(str(folder / "jobs" / f"{job}.py"), "--config", str(folder / "config.yaml")),
    ]
    hidden = ("SPARK_", "PYSPARK_", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "JAVA_HOME": str(require_java())}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
def test_jobs_by_spark_submit_on_workers_that_have_little(scratch: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = rng.integers((0, 0), (40, 30), size=(1500, 2))
    likes = [f"u{user},i{item},{1_700_000_000 + second}" for second, (user, item) in enumerate(pairs)]
    (scratch / "likes.csv").write_text("\n".join(["user,item,seconds", *likes]))
    write_config(
        scratch, logs={"likes": csv_log(scratch / "likes.csv", "like", "user", "item", timestamp="seconds")}, **SECTIONS
    )
    shutil.make_archive(str(scratch / "twhin_spark"), "zip", ROOT, "twhin_spark")
    shutil.copytree(ROOT / "jobs", scratch / "jobs")

    assert _submit("pipeline", scratch)["rows"]["accepted"] == 1500  # type: ignore[index]
    assert _submit("candidates", scratch)["candidates"] == 2 * 40 * 5
