"""Checks of the logs before Spark starts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from twhin_spark.config import Config
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.locations import is_uri
from twhin_spark.logs.files import log_files

# Options that the reader sets itself, as the counts of rows rest on them.
_RESERVED_OPTIONS = {
    "mode": "malformed lines are quarantined, and graph.max_rejected says how many there may be",
    "columnnameofcorruptrecord": "malformed lines are quarantined as they are",
    "inferschema": "columns are text; give types in columns, or cast in the select",
    "enforceschema": "files with another header are refused",
    "columnpruning": "lines with too few or too many fields would be missed",
    "wholetext": "a row is a line",
    "ignorecorruptfiles": "the rows of a file must not be left out silently",
    "ignoremissingfiles": "the rows of a file must not be left out silently",
    "modifiedbefore": "path says which files are read",
    "modifiedafter": "path says which files are read",
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
    """Check the logs' options, and the paths on this machine.

    Raises
    ------
    ConfigError
        A log sets an option that the reader sets itself.
    InputError
        A path without a scheme matches no file.
    """
    for name, log in config.logs.items():
        for option in log.options:
            if (reason := _RESERVED_OPTIONS.get(option.lower())) is not None:
                raise ConfigError(f"logs.{name}.options.{option} cannot be set, as {reason}; remove it")
        if log.format == "delta":
            for path in log.path:
                if not is_uri(path) and not Path(path).is_dir():
                    raise InputError(
                        f"logs.{name}.path is '{path}', but must be the folder of a Delta table, as "
                        f"logs.{name}.format is delta (seen from {Path.cwd()})"
                    )
        elif log.format != "dataframe":
            log_files(name, log, None)
