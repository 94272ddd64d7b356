"""Resuming a training that was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twhin_spark.errors import ConfigError
from twhin_spark.training.state.manifest import SCHEDULE, Manifest
from twhin_spark.training.state.run_folder import RunFolder


def find_unfinished(folder: RunFolder, model: str, settings: Mapping[str, Any]) -> Manifest | None:
    """Return the run's last committed round, or None if nothing of it is committed.

    Parameters
    ----------
    folder
        The folder of the run that is to be resumed.
    model
        The config's name, with which the names of its runs begin.
    settings
        The settings of this run, see `run_identity`.

    Raises
    ------
    ConfigError
        The unfinished run was begun by an earlier version. Or nothing is committed, but another run of the model is
        unfinished: it was begun with other settings.
    """
    if (manifest := folder.latest()) is not None:
        if manifest.schedule != SCHEDULE and not manifest.complete:
            raise ConfigError(
                f"--resume: an earlier version began the unfinished run {folder.run_id} with another order of edges; "
                "train without --resume"
            )
        return manifest
    for other in folder.siblings(model):
        latest, begun_with = other.latest(), other.settings()
        if latest is not None and not latest.complete and begun_with is not None:
            changed = "; ".join(_differences(begun_with, settings))
            raise ConfigError(
                f"--resume: the unfinished run {other.run_id} was begun with other settings: {changed}; "
                "set them back, or train without --resume"
            )
    return None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Say of each value that differs its dotted path, its old value and its new one."""
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{path}{key}.")
        elif old != new:
            yield f"{path}{key} was {old}, now {new}"
