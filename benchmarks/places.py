"""Where the benchmarks read and write."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
STORE = ROOT / "docs" / "benchmarks.json"
