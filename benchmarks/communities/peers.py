"""The peers: igraph's Leiden and label propagation, in a virtual environment of their own."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.console import progress
from benchmarks.paths import ROOT

VENV = ROOT / "build" / "communities-venv"
PINS = ("igraph==1.0.0", "numpy==2.4.6")


def install() -> str:
    """Make the environment, once; return its Python."""
    python, marker = VENV / "bin" / "python", VENV / ".installed"
    if not marker.exists() or marker.read_text() != "\n".join(PINS):
        progress(f"installing {PINS[0]} into {VENV.relative_to(ROOT)}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True, stdout=sys.stderr)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *PINS], check=True, stdout=sys.stderr)
        marker.write_text("\n".join(PINS))
    return str(python)
