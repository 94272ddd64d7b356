"""Where a training that was stopped goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twhin_spark.errors import ConfigError
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder


def find_unfinished(folder: RunFolder, model: str, settings: Mapping[str, Any]) -> Manifest | None:
    """The run's last committed round, or None where nothing of it was committed.

    Raises ConfigError where nothing was, but another run of the `model` is unfinished, which had other settings.
    """
    if (manifest := folder.latest()) is not None:
        return manifest
    for other in folder.siblings(model):
        latest, before = other.latest(), other.settings()
        if latest is not None and not latest.complete and before is not None:
            changed = "; ".join(_differences(before, settings))
            raise ConfigError(
                f"--resume: the unfinished run {other.run_id} was begun with other settings: {changed}; "
                "set them back, or train without --resume"
            )
    return None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """One line for each value that differs: dotted path, what it was, what it is."""
    for key in sorted({*before, *now}):
        was, found = before.get(key), now.get(key)
        if isinstance(was, dict) and isinstance(found, dict):
            yield from _differences(was, found, f"{path}{key}.")
        elif was != found:
            yield f"{path}{key} was {was}, now {found}"
