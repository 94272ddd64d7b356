"""Folders and files that the benchmarks read and write."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
RECORDS = Path(__file__).parent / "results"
PAGES = ROOT / "docs" / "results"
CONFIG_DATA = "../shared/data"  # the folder of data sets that the configs in conf/ name


def data_home() -> Path:
    """Return the folder of the data sets: TWHIN_DATA_HOME if it is set, else the one that the configs name."""
    return Path(os.environ.get("TWHIN_DATA_HOME") or ROOT / CONFIG_DATA)


def data_file(name: str) -> Path:
    """Return a file of the data sets, such as gowalla/train.txt.gz; end the process if it is missing."""
    file = data_home() / name
    if not file.exists():
        raise SystemExit(f"{file} is missing; set TWHIN_DATA_HOME to the folder that contains {Path(name).parent}/")
    return file
