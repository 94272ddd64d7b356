"""A small graph in an output of its own, whose trainings run in separate processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.follow_graph import random_pairs, write_follow_config
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder


@dataclass(frozen=True)
class SmallRun:
    """The file of a config whose graph is built."""

    config: Path

    @classmethod
    def build(cls, folder: Path, *, epochs: int, groups: int, commit_seconds: float = 10.0) -> SmallRun:
        """Write the config of a training that keeps its best epoch, and build its graph."""
        training = {"dim": 8, "epochs": epochs, "batch_size": 16, "uniform_negatives": 4, "groups": groups}
        training["commit_seconds"] = commit_seconds
        split = {"by": "fraction", "test": 0.1, "validation": 0.1}
        pairs = random_pairs(60, 600)
        run = cls(write_follow_config(folder, pairs, split=split, training={**training, "keep": "best"}))
        run.finish(run.start("build-graph"))
        return run

    def start(self, job: str = "train", *flags: str, **options: Any) -> subprocess.Popen[str]:
        """Start a job in a process of its own, whose stderr can be read while it runs."""
        program = [sys.executable, "-c", "from twhin_spark.cli.commands import main; main()"]
        command = [*program, job, "--config", str(self.config), *flags]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def finish(self, process: subprocess.Popen[str], says: str = "") -> dict[str, Any]:
        """Wait for the end of a job, which must succeed and print the line `says`; return its result."""
        out, err = process.communicate(timeout=1200)
        assert process.returncode == 0, err
        assert says in err
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    def folder(self) -> RunFolder:
        """Return the folder of the only run."""
        (folder,) = (self.config.parent / "out" / "runs").iterdir()
        return RunFolder(str(self.config.parent / "out"), folder.name)


def wait_for_epoch(process: subprocess.Popen[str]) -> str:
    """Read what a training prints up to its first line of an epoch, and return it."""
    assert process.stderr is not None
    printed = []
    for line in process.stderr:
        printed.append(line)
        if re.search(r"epoch \d+/", line):
            return "".join(printed)
    raise AssertionError(f"training ended without an epoch: {''.join(printed)}")


def bits(manifest: Manifest | None) -> tuple[Any, ...]:
    """Return what must be equal to the last bit: vectors, relations, decisions, and the best epoch's state."""
    assert manifest is not None
    assert manifest.complete
    assert manifest.best is not None
    best = manifest.best.epoch, [file.crc32 for file in manifest.best.partitions], manifest.best.relations
    return [file.crc32 for file in manifest.partitions], manifest.relations, manifest.history, best
