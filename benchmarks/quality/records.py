"""The records of quality runs, and the key that decides if a recorded run is still valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.paths import CONFIG_DATA, RECORDS, ROOT

STORE = RECORDS / "quality.json"
SAME_BITS = ROOT / "tests" / "same_bits.json"
Run = Mapping[str, Any]
_WITHOUT_EFFECT = ("output", "publishing", "communities", "retrieval")  # sections of a config that change no metric


def load_runs() -> list[dict[str, Any]]:
    """Return all recorded runs, in the order in which they ended."""
    runs: list[dict[str, Any]] = json.loads(STORE.read_text()) if STORE.exists() else []
    return runs


def store_run(run: Run) -> None:
    """Append a run to the records and drop an earlier one of the same data set, seed and overrides."""
    others = [other for other in load_runs() if _identity(other) != _identity(run)]
    STORE.write_text(json.dumps([*others, run], indent=1, ensure_ascii=False) + "\n")


def recorded_run(name: str, seed: int, overrides: Sequence[str], key: Mapping[str, Any]) -> Run | None:
    """Return the recorded run of a data set, seed and overrides, if there is one with a matching key."""
    for run in load_runs():
        if _identity(run) == (name, seed, list(overrides)) and same_key(run["key"], key):
            return run
    return None


def current_runs(runs: Sequence[Run], name: str) -> list[Run]:
    """Return a data set's runs whose key matches that of its newest run without overrides.

    Results of an older config or of older code are not shown beside the newest.
    """
    keys = [run["key"] for run in runs if run["set"] == name and not run["overrides"]]
    return [run for run in runs if run["set"] == name and same_key(run["key"], keys[-1])] if keys else []


def model_key(config: Path) -> dict[str, Any]:
    """Return what decides the metrics of a run besides its seed and overrides.

    That is the config's digest and the digests of a small training, by CPU (tests/same_bits.json). The test of these
    digests fails as soon as the code gives other bits, so they stand for the code, and renaming does not change them.
    """
    return {"config": config_digest(config), "bits": json.loads(SAME_BITS.read_text())}


def same_key(key: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell if two keys stand for the same config and code.

    Digests are compared for the CPUs and the parts of the small training that both keys have; they must have some in
    common. So a digest that is added for another CPU leaves the records valid.
    """
    bits, other_bits = key["bits"], other["bits"]
    common = [
        (cpu, part) for cpu in bits.keys() & other_bits.keys() for part in bits[cpu].keys() & other_bits[cpu].keys()
    ]
    same_bits = bool(common) and all(bits[cpu][part] == other_bits[cpu][part] for cpu, part in common)
    return same_bits and bool(key["config"] == other["config"])


def config_digest(config: Path) -> str:
    """Return a digest of a config's content, whatever its comments and the folder of its data."""
    document = yaml.safe_load(config.read_text())
    for log in document["logs"].values():
        log["path"] = log["path"].removeprefix(f"{CONFIG_DATA}/")
    content = {name: section for name, section in sorted(document.items()) if name not in _WITHOUT_EFFECT}
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()


def _identity(run: Run) -> tuple[Any, ...]:
    return run["set"], run["seed"], run["overrides"]
