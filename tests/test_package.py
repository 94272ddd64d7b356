"""The wheel: installed into an empty environment it runs the demo, in any folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "from setuptools.build_meta import build_sdist, build_wheel; build_wheel('dist'); build_sdist('dist')"


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    hidden = ("SPARK_", "PYSPARK_", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.mark.slow
def test_the_wheel_runs_the_demo_in_an_empty_environment(tmp_path: Path) -> None:
    source, scratch = tmp_path / "source", tmp_path / "scratch"
    scratch.mkdir()
    unpacked = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "twhin_spark", source / "twhin_spark", ignore=unpacked)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _run(sys.executable, "-c", BUILD, cwd=source)
    (wheel,) = (source / "dist").glob("*.whl")
    (archive,) = (source / "dist").glob("*.tar.gz")
    assert archive.stat().st_size > 100_000

    _run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=scratch)
    binaries = tmp_path / "venv" / "bin"
    install = ("-m", "pip", "install", "-qq", "--constraint", ROOT / "constraints.txt", wheel)
    _run(binaries / "python", *install, cwd=scratch)
    small = ("--scale", "0.01", "--set", "training.epochs=1", "--set", "training.dim=8")
    done = _run(binaries / "twhin-spark", "demo", *small, cwd=scratch)

    assert done.stderr.count("fetching Delta's jars from Maven Central to ") == 1
    summary = json.loads(done.stdout)
    result = scratch / "build" / "demo" / "runs" / summary["run_id"] / "result.json"
    assert json.loads(result.read_text()) == summary
    assert sorted(path.name for path in scratch.iterdir()) == ["build"]
    query = f"SELECT count(*) AS vectors FROM delta.`{summary['tables']['embeddings']['path']}`"
    assert "vectors" in _run(binaries / "twhin-spark", "sql", query, cwd=scratch).stdout
