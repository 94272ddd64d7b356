"""A small graph in an output of its own, and trainings of it in processes of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder

CONFIG = """
name: small
output: {folder}/out
entity_types: [user]
relations: {{follow: {{source: user, target: user}}}}
logs:
  a:
    path: {folder}/a.csv
    format: csv
    options: {{header: true}}
    select: {{relation: "'follow'", source: s, target: t}}
split: {{by: fraction, test: 0.1, validation: 0.1}}
graph: {{partitions: 8}}
training: {{dim: 8, epochs: {epochs}, batch_size: 16, uniform_negatives: 4, groups: {groups}, keep: best}}
"""


@dataclass(frozen=True)
class SmallRun:
    """The config's file; its graph is built."""

    config: Path

    @classmethod
    def build(cls, folder: Path, *, epochs: int, groups: int) -> SmallRun:
        pairs = np.random.default_rng(0).integers(60, size=(600, 2))
        (folder / "a.csv").write_text("s,t\n" + "".join(f"u{s},u{t}\n" for s, t in pairs))
        config = folder / "small.yaml"
        config.write_text(CONFIG.format(folder=folder, epochs=epochs, groups=groups))
        run = cls(config)
        run.finish(run.start("build-graph"))
        return run

    def start(self, job: str = "train", *flags: str, **how: Any) -> subprocess.Popen[str]:
        """A job in a process of its own, whose stderr can be read while it runs."""
        program = [sys.executable, "-c", "from twhin_spark.cli.commands import main; main()"]
        command = [*program, job, "--config", str(self.config), *flags]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)

    def finish(self, process: subprocess.Popen[str], says: str = "") -> dict[str, Any]:
        """Waits for a job's good end, by which it has said that; returns its result."""
        out, err = process.communicate(timeout=1200)
        assert process.returncode == 0, err
        assert says in err
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    def folder(self) -> RunFolder:
        """Of the only run."""
        (found,) = (self.config.parent / "out" / "runs").iterdir()
        return RunFolder(str(self.config.parent / "out"), found.name)


def wait_for_epoch(process: subprocess.Popen[str]) -> str:
    """Reads and returns what a training says, up to its first line of an epoch."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if re.search(r"epoch \d+/", line):
            return "".join(said)
    raise AssertionError(f"training ended without an epoch: {''.join(said)}")


def bits(manifest: Manifest | None) -> tuple[Any, ...]:
    """What must be equal to the last bit: vectors, relations, decisions, and the best epoch's state."""
    assert manifest is not None
    assert manifest.complete
    assert manifest.best is not None
    best = manifest.best.epoch, [file.crc32 for file in manifest.best.partitions], manifest.best.relations
    return [file.crc32 for file in manifest.partitions], manifest.relations, manifest.history, best
