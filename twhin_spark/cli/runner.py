"""A command from its options to the end of the process: a result on stdout, or one line and an exit code."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from twhin_spark.cli.console import Printer
from twhin_spark.errors import TwhinError
from twhin_spark.locations import absolute, is_uri

if TYPE_CHECKING:  # modules that take long to import are imported by the commands that need them
    from pyspark.sql import SparkSession

    from twhin_spark.config import Config


class CommandRun:
    """One run of a command. As a context manager it turns an error into one line on stderr and an exit code."""

    def __init__(self, config_file: str | None, overrides: Sequence[str], *, verbose: bool) -> None:
        self.printer = Printer()
        self.overrides = list(overrides)
        self._config_file, self._verbose = config_file, verbose
        self._log_file: Path | None = None

    @property
    def has_config(self) -> bool:
        return self._config_file is not None

    @cached_property
    def config(self) -> Config:
        """The config of `--config` and `--set`."""
        from twhin_spark.config import load_config

        assert self._config_file is not None
        try:
            Path.cwd()
        except OSError as error:
            raise TwhinError(f"the working directory cannot be used: {error.strerror}; change to another") from None
        return load_config(self._config_file, self.overrides)

    @cached_property
    def spark(self) -> SparkSession:
        """The session, started on first use. Its log is `spark.log` in the output if that is a folder of this user."""
        name = "sql"
        if self.has_config:
            name, self._log_file = self.config.name, _log_file(self.config.output)
        if not self._verbose:
            _silence_libraries()
        from twhin_spark.tables.session import open_session

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: a training says how it is resumed
        return open_session(
            f"twhin-spark {name}", verbose=self._verbose, log_file=self._log_file, progress=self.printer.progress
        )

    def stop(self) -> None:
        """Stop Spark if it was started."""
        if "spark" in self.__dict__:
            self.spark.stop()

    def job(self, name: str, **flags: Any) -> dict[str, Any]:
        """Run a function of `stages`; return its summary, which was shown and written to the run's folder."""
        if name in ("build_graph", "pipeline"):
            from twhin_spark.logs.path_checks import check_inputs, use_dataframes

            check_inputs(use_dataframes(self.config, ()))
        _require_writable(self.config.output)
        spark = self.spark
        _require_file_system(spark, self.config.output)
        from twhin_spark import stages
        from twhin_spark.cli.previews import show_summary

        summary: dict[str, Any] = getattr(stages, name)(
            spark, self.config, progress=self.printer.progress, **flags
        ).as_dict()
        show_summary(summary, self.printer)
        folder = f"{self.config.output.rstrip('/')}/runs/{summary['run_id']}"
        self.printer.line(f"result: {_write_result(folder, summary)}")
        return summary

    def __enter__(self) -> CommandRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self.printer.error("interrupted")
            sys.exit(1)
        if isinstance(error, Exception):
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        if self._verbose:
            traceback.print_exception(error)
        if isinstance(error, TwhinError):
            self.printer.error(str(error))
            sys.exit(error.exit_code)
        from twhin_spark.tables.error_causes import cause_line, exit_code

        scratch = os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")
        output = [self.config.output] if "config" in self.__dict__ and not is_uri(self.config.output) else []
        more = "" if self._verbose else "; --verbose shows all"
        log = f"; Spark's log is {self._log_file}" if self._log_file else ""
        self.printer.error(f"{cause_line(error, [*output, *scratch])}{log}{more}")
        sys.exit(exit_code(error))


def _log_file(output: str) -> Path | None:
    folder = Path(output)
    file = folder / "spark.log"
    writable = not is_uri(output) and os.access(file if file.exists() else folder, os.W_OK)
    return file if writable else None


def _require_writable(output: str) -> None:
    """Check that a job can write to its output, before Spark starts."""
    if is_uri(output):
        return
    probe = Path(output) / f".writable-{os.getpid()}"
    try:
        Path(output).mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
        (Path(output) / "spark.log").open("a").close()
    except OSError as error:
        raise TwhinError(f"output: cannot write to '{output}': {error.strerror}") from None


def _require_file_system(spark: SparkSession, output: str) -> None:
    """Check that Spark has a file system for the URI of an output."""
    from twhin_spark.tables.error_causes import cause_line

    if not is_uri(output):
        return
    try:
        assert spark._jvm is not None
        spark._jvm.org.apache.hadoop.fs.Path(output).getFileSystem(spark._jsc.hadoopConfiguration())
    except Exception as error:
        raise TwhinError(
            f"output is '{output}', for which Spark has no file system: {cause_line(error)}; add its jars with "
            "spark.jars.packages, or give another output"
        ) from None


def _silence_libraries() -> None:
    """Keep warnings and log records of libraries off stderr, which carries the command's own lines."""
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())


def _write_result(run_folder: str, summary: Mapping[str, Any]) -> str:
    """Write result.json, whole or not at all; return its absolute path or URI."""
    from pyarrow import fs

    location = f"{absolute(run_folder)}/result.json"
    filesystem, path = fs.FileSystem.from_uri(location)
    filesystem.create_dir(path.rpartition("/")[0])
    with filesystem.open_output_stream(f"{path}.new") as stream:
        stream.write(json.dumps(summary, indent=2).encode())
    filesystem.move(f"{path}.new", path)
    return location
