"""Jobs run through the command line, as a user runs them: one process each, with the start of its JVM."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.console import progress
from benchmarks.paths import ROOT


def run_job(
    job: str, config: Path, overrides: Sequence[str] = (), *, quiet: bool = True
) -> tuple[float, dict[str, Any]]:
    """Run a job of twhin-spark; end this process if it fails.

    Parameters
    ----------
    job
        The job's name, such as "build-graph".
    config
        The config's file.
    overrides
        Config options as `path=value`.
    quiet
        Whether to show the job's progress only if it fails.

    Returns
    -------
    tuple
        The seconds of the process, and the job's result.
    """
    command = [str(Path(sys.executable).parent / "twhin-spark"), job, "--config", str(config)]
    command += [part for override in overrides for part in ("--set", override)]
    if not quiet:
        progress(f"{job} {' '.join(overrides)}")
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        reason = done.stderr[-4000:] if quiet else "see its output above"
        raise SystemExit(f"twhin-spark {job} failed: {reason}")
    return seconds, json.loads(done.stdout.splitlines()[-1])
