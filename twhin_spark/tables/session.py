"""The Spark session that every job runs in."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from twhin_spark.errors import TwhinError
from twhin_spark.tables import delta_jars
from twhin_spark.tables.environment import nameless_user, prepare_environment
from twhin_spark.tables.error_causes import start_failure
from twhin_spark.tables.java import require_java

_LOCAL_CONF = Path(__file__).parent / "local"
_DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_STDERR = 2
_LOG_BYTES = 1 << 20

# Properties that the jobs' results depend on. Those that only their speed depends on are set by the cluster's
# administrator, or in local/spark-defaults.conf.
_SETTINGS = {
    "spark.sql.extensions": _DELTA_EXTENSION,
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # A write is identified by its commit's version; Delta would omit the commit of a write that changes nothing.
    "spark.databricks.delta.skipRecordingEmptyCommits": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.javaCharsets": "true",  # logs may be in windows-1252 or Big5; Spark's own list is short
    "spark.sql.ansi.enabled": "false",  # a field that cannot be cast is a null, and its row is quarantined
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # One BLAS thread a task: Spark's slots are the parallelism, and the bits of a sum depend on the threads.
    "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.executorEnv.MKL_NUM_THREADS": "1",
}


def open_session(
    app_name: str,
    *,
    verbose: bool = False,
    log_file: Path | None = None,
    extra: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> SparkSession:
    """Start a local Spark session with Delta, or return the one that `spark-submit` or an earlier call has started.

    Parameters
    ----------
    app_name
        Name of the application in Spark's web pages.
    verbose
        Let Spark, the JVM and the Python workers write to stderr.
    log_file
        File that they append to if they are not verbose; None drops their output. Not used under `spark-submit`, whose
        JVM has started before: its log is switched off instead.
    extra
        Further Spark properties, which override all others. A memory size counts only if this call starts the JVM.
    progress
        Receives a line if Delta's jars must be fetched first, which happens once, and one for each environment variable
        that points to another Spark and is ignored.

    Raises
    ------
    TwhinError
        There is no suitable Java, PYSPARK_PYTHON cannot run the workers, the JVM did not start, or Delta's jars cannot
        be found.
    """
    # Without it the workers take the PATH's python, which need not have our packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    conf = SparkConf().setAppName(app_name).setAll(list({**_SETTINGS, **(extra or {})}.items()))
    if not verbose:
        _silence(conf)
    if not _has_jvm():
        _start_jvm(conf, None if verbose else log_file or Path(os.devnull), progress)
    spark = SparkSession.builder.config(conf=conf).getOrCreate()
    _check_delta(spark)
    return spark


def _under_spark_submit() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _has_jvm() -> bool:
    """Return True if `spark-submit` or an earlier session of this process has started a JVM."""
    return _under_spark_submit() or SparkContext._gateway is not None


def _silence(conf: SparkConf) -> None:
    """Silence the loggers that write to stderr. The errors that they print are raised all the same."""
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
    logging.getLogger().addFilter(_is_not_py4j)
    if _under_spark_submit():
        conf.set("spark.log.level", "OFF")


def _is_not_py4j(record: logging.LogRecord) -> bool:
    """Return False for py4j's records: on the root logger, it logs a trace when the JVM has ended, as by Ctrl-C."""
    return Path(record.pathname).parent.name != "py4j"


def _start_jvm(conf: SparkConf, log_file: Path | None, progress: Callable[[str], None]) -> None:
    """Start the JVM and its Spark context. They and the Python workers print to `log_file`, or to stderr if it is None.

    They never print to stdout, which carries the job's result.
    """
    prepare_environment(progress)
    java_home = require_java()
    jars = delta_jars.require_jars(java_home, progress)
    if jars[0].parent != delta_jars.spark_folder():
        conf.set("spark.jars", ",".join(map(str, jars)))
    os.environ["JAVA_HOME"] = str(java_home)
    os.environ.setdefault("SPARK_CONF_DIR", str(_LOCAL_CONF))
    log = _STDERR if log_file is None else os.open(log_file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    begin = 0 if log_file is None else os.lseek(log, 0, os.SEEK_END)
    try:
        gateway = launch_gateway(conf, popen_kwargs={"stdout": log, "stderr": log})  # type: ignore[no-untyped-call]
    except PySparkRuntimeError as error:
        if log_file is None:
            raise TwhinError("Spark's JVM did not start; its messages are above") from error
        os.lseek(log, begin, os.SEEK_SET)
        reason = start_failure(os.read(log, _LOG_BYTES).decode(errors="replace"))
        raise TwhinError(f"Spark's JVM did not start: {reason}; its messages are in {log_file}") from error
    finally:
        if log != _STDERR:
            os.close(log)  # the JVM has its own copy
    if (user := nameless_user()) is not None:  # Hadoop would ask the system for the user's name, and fail
        login = gateway.jvm.org.apache.hadoop.security.UserGroupInformation
        login.setLoginUser(login.createRemoteUser(user))
    SparkContext(conf=conf, gateway=gateway)


def _check_delta(spark: SparkSession) -> None:
    """Check that Delta was loaded: Spark only warns of an extension that it cannot load, and fails much later."""
    jvm = spark._jvm
    assert jvm is not None
    if not jvm.org.apache.spark.util.Utils.classIsLoadable(_DELTA_EXTENSION):
        spark.stop()
        raise TwhinError(
            "Delta's jars are not on Spark's class path: run `twhin-spark setup`, or start the job with "
            f"`spark-submit --packages {delta_jars.PACKAGE}`"
        )
