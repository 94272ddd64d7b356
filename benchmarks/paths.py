"""Where the benchmarks read and write."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
STORE = ROOT / "docs" / "benchmarks.json"


def data_home() -> Path:
    """The folder that the data sets are in, there or not."""
    return Path(os.environ.get("TWHIN_DATA_HOME") or ROOT / "../shared/data")


def data_file(name: str) -> Path:
    """A file of the data sets, such as gowalla/train.txt.gz. Ends the process where it is missing."""
    file = data_home() / name
    if not file.exists():
        raise SystemExit(f"{file} is missing; set TWHIN_DATA_HOME to the folder that holds {Path(name).parent}/")
    return file
