"""What can be known about the logs before Spark starts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from twhin_spark.config import Config
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.locations import is_uri

# The accounting of rows rests on these: they are the reader's own.
_RESERVED_OPTIONS = {
    "mode": "malformed lines are quarantined, and graph.max_rejected says how many there may be",
    "columnnameofcorruptrecord": "malformed lines are quarantined as they are",
    "inferschema": "columns are text; give types in columns, or cast in the select",
    "enforceschema": "files with another header are refused",
    "columnpruning": "lines with too few or too many fields would be missed",
    "wholetext": "a row is a line",
}


def use_dataframes(config: Config, names: Collection[str]) -> Config:
    """Return the config with `format: dataframe` for the logs of these names, whose rows are given as DataFrames.

    Raises
    ------
    ConfigError
        The config has no log of a name, or a log with `format: dataframe` is not among the names.
    """
    if unknown := [name for name in names if name not in config.logs]:
        raise ConfigError(f"logs: the config has no log '{unknown[0]}'; its logs are {', '.join(config.logs)}")
    logs = dict(config.logs)
    for name, log in config.logs.items():
        if name in names:
            logs[name] = log.model_copy(update={"format": "dataframe", "path": [], "options": {}, "columns": None})
        elif log.format == "dataframe":
            raise ConfigError(
                f"logs.{name}.format is dataframe, so its rows are required: twhin_spark.build_graph(spark, config, "
                f"logs={{'{name}': dataframe}}); the command line reads files only"
            )
    return config.model_copy(update={"logs": logs})


def check_inputs(config: Config) -> None:
    """Checks the logs' options and paths.

    Raises
    ------
    ConfigError
        A log sets an option that the reader needs for itself.
    InputError
        A path without a scheme matches no file on this machine.
    """
    for name, log in config.logs.items():
        for option, value in log.options.items():
            if (why := _RESERVED_OPTIONS.get(option.lower())) is not None:
                raise ConfigError(f"logs.{name}.options.{option}: found {value!r}; not allowed: {why}")
        for path in log.path:
            if log.format == "delta" and _is_glob(path):
                raise ConfigError(f"logs.{name}.path: found '{path}'; allowed with format: delta: a table's folder")
            if not is_uri(path) and not _matches(path):
                raise InputError(
                    f"logs.{name}.path: found no file at '{path}' (seen from {Path.cwd()}); "
                    "give a file, a folder with files, a glob, or a URI"
                )


def _is_glob(path: str) -> bool:
    return any(sign in path for sign in "*?[{")


def _matches(path: str) -> bool:
    """Whether Spark would find a file there."""
    if "{" in path:  # Hadoop's {a,b} is unknown to Python; Spark says it where nothing matches
        return True
    place = Path(path).absolute()
    if place.exists() or not _is_glob(path):
        return _has_files(place)
    return any(_has_files(found) for found in Path(place.anchor).glob(str(place.relative_to(place.anchor))))


def _has_files(place: Path) -> bool:
    """Spark ignores what lies in a folder under a name with _ or a dot in front."""
    if not place.is_dir():
        return place.exists()
    files = (file.relative_to(place).parts for file in place.rglob("*") if file.is_file())
    return any(not any(part.startswith(("_", ".")) for part in parts) for parts in files)
