"""A driver that is killed at any moment loses the round in flight, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twhin_spark.training.state import Manifest, RunFolder

KILLS = int(os.environ.get("TWHIN_KILLS", "3"))
CONFIG = """
name: killed
output: {output}
entity_types: [user]
relations: {{follow: {{source: user, target: user}}}}
logs:
  a:
    path: {logs}
    format: csv
    options: {{header: true}}
    select: {{relation: "'follow'", source: s, target: t}}
split: {{by: fraction, test: 0.1, validation: 0}}
graph: {{partitions: 8}}
training: {{dim: 8, epochs: {epochs}, batch_size: 16, uniform_negatives: 4, groups: 4}}
"""


def start(job: str, config: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from twhin_spark.cli import main; main()", job, "--config", str(config), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(job: str, config: Path, *flags: str) -> Manifest | None:
    """Runs a job to its end; returns the last committed round of its run."""
    process = start(job, config, *flags)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    result = json.loads(out.splitlines()[-1])
    folder = RunFolder(str(config.with_suffix("")), result["run_id"])
    return folder.latest()


@pytest.mark.slow
def test_kills_at_any_moment_change_no_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(int(os.environ.get("TWHIN_SEED", "0")))
    logs = tmp_path / "a.csv"
    logs.write_text("s,t\n" + "".join(f"u{s},u{t}\n" for s, t in rng.integers(60, size=(600, 2))))
    ends = []
    for name, kills in (("whole", 0), ("killed", KILLS)):
        config = tmp_path / f"{name}.yaml"
        config.write_text(CONFIG.format(output=config.with_suffix(""), logs=logs, epochs=4 * KILLS))
        run("build-graph", config)
        for number in range(kills):
            process = start("train", config, *(["--resume"] if number else []))
            try:
                # Spark's start takes most of the first ten seconds; a kill in them is one, too.
                process.communicate(timeout=rng.uniform(5, 25))
                break  # complete before the kill
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        ends.append(run("train", config, *(["--resume"] if kills else [])))
    whole, killed = ends
    assert whole is not None
    assert killed is not None
    assert killed.complete
    assert [file.crc32 for file in killed.partitions] == [file.crc32 for file in whole.partitions]
    assert killed.relations == whole.relations
