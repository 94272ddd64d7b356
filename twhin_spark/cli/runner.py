"""A job from its config to the end of the process: whatever happens, the user gets one line and an exit code."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from pyspark.sql import SparkSession

from twhin_spark import stages
from twhin_spark.cli.console import Printer
from twhin_spark.config import Config, load_config
from twhin_spark.errors import InputError, TwhinError
from twhin_spark.logs.clean import check_inputs
from twhin_spark.tables.session import open_session

RunJob = Callable[..., stages.Summary]  # of a session, a config and a function that takes progress
Show = Callable[[SparkSession, Config, dict[str, Any], Printer], None]  # says more of a job's summary


def run_to_end(
    run: RunJob,
    config_file: str,
    overrides: Sequence[str],
    verbose: bool,
    *,
    reads_logs: bool,
    then: Show | None = None,
) -> None:
    """Runs a job and ends the process."""
    printer = Printer()
    log_file: Path | None = None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: a training says how it is resumed
    try:
        config = load_config(config_file, overrides)
        if reads_logs:
            check_inputs(config)
        log_file = log_file_of(config)
        spark = open_session(f"twhin-spark {config.name}", verbose=verbose, log_file=log_file)
        summary = run(spark, config, printer.progress).as_dict()
        printer.summary(summary)
        if then:
            then(spark, config, summary, printer)
        spark.stop()
    except Exception as error:  # whatever it is, the user gets one line and an exit code
        fail(printer, error, log_file, verbose=verbose)
    except KeyboardInterrupt:
        printer.error("interrupted")
        sys.exit(1)
    click.echo(json.dumps(summary))


def log_file_of(config: Config) -> Path | None:
    """Where Spark's own log goes: beside the tables if they are on a local disk."""
    if "://" in config.output:
        return None
    folder = Path(config.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TwhinError(f"output: cannot write to '{config.output}': {error.strerror}") from None
    return folder / "spark.log"


def fail(printer: Printer, error: Exception, log_file: Path | None = None, *, verbose: bool | None = None) -> NoReturn:
    """Ends the process with one line that says what is wrong, and its exit code.

    verbose: whether the trace is shown first; None where the command has no such option.
    """
    if verbose:
        traceback.print_exception(error)
    if isinstance(error, TwhinError):
        printer.error(str(error))
        sys.exit(error.exit_code)
    lines = [line for line in str(error).splitlines() if line.strip()]
    if ours := next((line for line in lines if line.startswith("twhin_spark.errors.")), None):
        printer.error(ours.partition(": ")[2])  # raised on a worker, told in the middle of Spark's report
        sys.exit(InputError.exit_code if "InputError" in ours else 1)
    first_line = next(iter(lines), "")
    where = f"; Spark's log is {log_file}" if log_file else ""
    more = "; --verbose shows all" if verbose is False else ""
    printer.error(f"{type(error).__name__}: {first_line}{where}{more}")
    sys.exit(1)
