"""Sources of the logs of `demo` and `higgs`, as overrides of their configs."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

from twhin_spark.errors import InputError

HIGGS_FILE = "higgs-activity_time.txt.gz"
HIGGS_URL = f"https://snap.stanford.edu/data/{HIGGS_FILE}"
_DOWNLOAD_SECONDS = 60


def demo_overrides(out: Path) -> list[str]:
    """Return the paths of the planted logs under `out`."""
    return [
        f"output={out}",
        f"logs.interactions.path={out / 'logs' / 'interactions'}",
        f"logs.follows.path={out / 'logs' / 'follows.jsonl'}",
    ]


def higgs_overrides(out: Path, progress: Callable[[str], None]) -> list[str]:
    """Find the Higgs log in `higgs-twitter/` under TWHIN_DATA_HOME, or download it to `out`.

    Raises
    ------
    InputError
        The log is not there and cannot be downloaded.
    """
    return [f"output={out}", f"logs.activity.path={_higgs_log(out, progress)}"]


def _higgs_log(out: Path, progress: Callable[[str], None]) -> Path:
    home = os.environ.get("TWHIN_DATA_HOME")
    downloaded = out / "download" / HIGGS_FILE
    files = [*([Path(home) / "higgs-twitter" / HIGGS_FILE] if home else []), downloaded]
    for file in files:
        if file.exists():
            return file
    progress(f"{files[0]} does not exist; downloading it from {HIGGS_URL}")
    downloaded.parent.mkdir(parents=True, exist_ok=True)
    part = downloaded.with_suffix(".part")
    try:
        with urllib.request.urlopen(HIGGS_URL, timeout=_DOWNLOAD_SECONDS) as response:
            part.write_bytes(response.read())
    except OSError as error:  # URLError and time-outs are OSErrors
        raise InputError(
            f"cannot download the Higgs log from {HIGGS_URL}: {error}; download it by hand to "
            f"FOLDER/higgs-twitter/{HIGGS_FILE} and set TWHIN_DATA_HOME to FOLDER"
        ) from None
    part.rename(downloaded)
    return downloaded
