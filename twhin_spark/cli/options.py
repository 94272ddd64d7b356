"""Options that commands share. This module imports click alone, so that `--help` answers at once."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from twhin_spark.cli.runner import CommandRun

Result = Mapping[str, Any]
Command = Callable[..., Result | None]  # returns its result
Decorator = Callable[[Command], Command]

_CONFIGS = Path(__file__).parent / "demo"
EPILOG = (
    "Progress, tables and errors go to stderr. The result is one JSON object: the last line of stdout, unless that is "
    "a terminal. Jobs also write it to OUTPUT/runs/RUN/result.json."
)


def with_run(*, default_config: str | None = None, requires_config: bool = True, has_result: bool = True) -> Decorator:
    """Add the options that commands share; the command receives them as a CommandRun, its first argument."""
    config: dict[str, Any] = {"required": requires_config}
    if default_config:
        config = {"default": str(_CONFIGS / default_config), "show_default": "a copy in the package"}
    options = [
        click.option("--config", "config_file", metavar="FILE", help="Config in YAML.", **config),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="A.B=VALUE",
            help="Override one option of the config, with a value in YAML; may be given several times.",
        ),
        click.option("--verbose", is_flag=True, help="Print Spark's log and stack traces to stderr."),
    ]
    if has_result:
        options.append(click.option("--json", "as_json", is_flag=True, help="Print the result to a terminal, too."))

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(
            config_file: str | None, overrides: tuple[str, ...], verbose: bool, as_json: bool = False, **values: Any
        ) -> None:
            with CommandRun(config_file, overrides, verbose=verbose) as run:
                result = function(run, **values)
                run.stop()
                if result is not None and (as_json or not sys.stdout.isatty()):
                    click.echo(json.dumps(result))

        for option in reversed(options):
            command = option(command)
        return command

    return decorate
