"""Where the logs of `demo` and `higgs` come from, as overrides of their configs."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

from twhin_spark.cli.demo.generate import generate
from twhin_spark.errors import InputError

HIGGS_FILE = "higgs-activity_time.txt.gz"
HIGGS_URL = f"https://snap.stanford.edu/data/{HIGGS_FILE}"
_DOWNLOAD_SECONDS = 60


def demo_overrides(out: Path, scale: float, progress: Callable[[str], None]) -> list[str]:
    """Generates the planted logs under `out`."""
    progress(f"generating logs in {out / 'logs'}")
    generate(out / "logs", scale=scale)
    return [
        f"output={out}",
        f"logs.interactions.path={out / 'logs' / 'interactions'}",
        f"logs.follows.path={out / 'logs' / 'follows.jsonl'}",
    ]


def higgs_overrides(out: Path, progress: Callable[[str], None]) -> list[str]:
    """Finds the Higgs log: $TWHIN_DATA_HOME, else ../shared/data, else a download to `out`.

    Raises InputError where it is nowhere to be had.
    """
    return [f"output={out}", f"logs.activity.path={_higgs_log(out, progress)}"]


def _higgs_log(out: Path, progress: Callable[[str], None]) -> Path:
    homes = [Path(os.environ["TWHIN_DATA_HOME"])] if os.environ.get("TWHIN_DATA_HOME") else [Path("../shared/data")]
    for home in homes:
        if (file := home / "higgs-twitter" / HIGGS_FILE).exists():
            return file
    target = out / "download" / HIGGS_FILE
    if target.exists():
        return target
    progress(f"no {HIGGS_FILE} under {homes[0]}; downloading it from {HIGGS_URL}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    try:
        with urllib.request.urlopen(HIGGS_URL, timeout=_DOWNLOAD_SECONDS) as response:
            part.write_bytes(response.read())
    except OSError as error:  # URLError and time-outs are OSErrors
        raise InputError(
            f"the Higgs log is neither under {homes[0]} (higgs-twitter/{HIGGS_FILE}) nor to be had from {HIGGS_URL}: "
            f"{error}; fetch it by hand and set TWHIN_DATA_HOME to the folder that holds higgs-twitter/"
        ) from None
    part.rename(target)
    return target
