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

from twhin_spark.tables.java import require_java

ROOT = Path(__file__).parents[1]
CONFIG = """
name: small
output: {folder}/out
entity_types: [user, item]
relations:
  like: {{source: user, target: item}}
logs:
  likes:
    path: {folder}/likes.csv
    format: csv
    columns: user STRING, item STRING, seconds BIGINT
    select: {{relation: "'like'", source: user, target: item, timestamp: seconds}}
graph: {{partitions: 4}}
training: {{dim: 8, epochs: 2, batch_size: 50, uniform_negatives: 10}}
evaluation: {{als: {{rank: 4, iterations: 2}}}}
retrieval:
  queries:
    like: {{relation: like, exclude: [like], k: 5, recall: like}}
    mixed: {{relation: like, exclude: [like], k: 5, method: mixture}}
  mixtures: {{clusters: 4}}
"""
# A worker has numpy, scipy, pyarrow, pandas and pyspark; what else the driver has is missing there.
LACKING = """
import sys
if "pyspark.daemon" in sys.orig_argv or "pyspark.worker" in sys.orig_argv:
    for name in ("pydantic", "yaml", "click", "rich", "delta", "deltalake", "faiss", "psutil", "xxhash"):
        sys.modules[name] = None
"""


def _submit(job: str, folder: Path) -> dict[str, object]:
    """The result of a job, whose package comes from the archive alone."""
    command = [
        str(Path(sys.executable).parent / "spark-submit"),
        *("--properties-file", str(ROOT / "twhin_spark/tables/local/spark-defaults.conf")),
        *("--py-files", str(folder / "twhin_spark.zip")),
        *("--conf", f"spark.pyspark.python={sys.executable}"),
        *("--conf", f"spark.executorEnv.PYTHONPATH={folder / 'lacking'}"),
        *(str(folder / "jobs" / f"{job}.py"), "--config", str(folder / "small.yaml")),
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
    (scratch / "likes.csv").write_text("\n".join(likes))
    (scratch / "small.yaml").write_text(CONFIG.format(folder=scratch))
    shutil.make_archive(str(scratch / "twhin_spark"), "zip", ROOT, "twhin_spark")
    shutil.copytree(ROOT / "jobs", scratch / "jobs")
    (scratch / "lacking").mkdir()
    (scratch / "lacking" / "sitecustomize.py").write_text(LACKING)

    assert _submit("pipeline", scratch)["rows"]["accepted"] == 1500  # type: ignore[index]
    assert _submit("candidates", scratch)["candidates"] == 2 * 40 * 5
