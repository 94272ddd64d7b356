"""The examples run as the README says, in the order that they name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.small_spark import write_spark_conf

ROOT = Path(__file__).parents[1]


def test_the_flow_on_dataframes_and_then_a_reader_without_java(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    flow = run(tmp_path, "dataframes.py", SPARK_CONF_DIR=str(write_spark_conf(tmp_path / "conf")))
    assert "twhin: MRR 0." in flow
    assert "|   song-0|" in flow
    liked = run(tmp_path, "read_without_java.py", JAVA_HOME="/none", PATH="/none").removeprefix("user-0 likes best: ")
    songs = [int(song.removeprefix("song-")) for song in liked.split()]
    assert len(songs) == 5
    assert sum(song % 4 == 0 for song in songs) >= 4  # of the user's genre


def run(folder: Path, example: str, **environment: str) -> str:
    command = [sys.executable, f"examples/{example}"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
