"""The Spark session that every job runs in."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from twhin_spark.errors import TwhinError
from twhin_spark.tables.java import require_java

_LOCAL_CONF = Path(__file__).parent / "local"
_DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_DELTA_PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0"
_STDERR = 2

# What the jobs' results depend on, wherever they run. What only their speed depends on is the affair of the cluster, or
# of local/spark-defaults.conf.
_SETTINGS = {
    "spark.sql.extensions": _DELTA_EXTENSION,
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # A write is known by the version of its commit; Delta would leave out one that finds and leaves an empty table.
    "spark.databricks.delta.skipRecordingEmptyCommits": "false",
    "spark.sql.session.timeZone": "UTC",
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
) -> SparkSession:
    """The session of this process: a local one, or the one that `spark-submit` has prepared.

    Parameters
    ----------
    app_name
        What Spark's own pages show.
    verbose
        Lets Spark, the JVM and the Python workers write to stderr.
    log_file
        Where they write otherwise, appended; None drops it. Not used under `spark-submit`, whose JVM is older than this
        process: its log is switched off instead.
    extra
        Further Spark properties, stronger than any other. A memory size counts only where this call starts the JVM.

    Raises
    ------
    TwhinError
        There is no Java that fits, the JVM did not start, or Delta's jars are not on its class path.
    """
    # Otherwise the workers take the PATH's python, which need not have our packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    conf = SparkConf().setAppName(app_name).setAll(list({**_SETTINGS, **(extra or {})}.items()))
    if not verbose:
        _hush(conf)
    if not _has_jvm():
        _start_jvm(conf, None if verbose else log_file or Path(os.devnull))
    spark = SparkSession.builder.config(conf=conf).getOrCreate()
    _check_delta(spark)
    return spark


def _under_spark_submit() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _has_jvm() -> bool:
    """Whether `spark-submit` or an earlier session of this process has started one."""
    return _under_spark_submit() or SparkContext._gateway is not None


def _hush(conf: SparkConf) -> None:
    """Silences what would write to stderr by itself. A failure is still raised, with all that these would print."""
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
    logging.getLogger().addFilter(_is_not_py4j)
    if _under_spark_submit():
        conf.set("spark.log.level", "OFF")


def _is_not_py4j(record: logging.LogRecord) -> bool:
    """py4j logs on the root logger, with a trace, that the JVM has gone, as it does by Ctrl-C."""
    return Path(record.pathname).parent.name != "py4j"


def _start_jvm(conf: SparkConf, log_file: Path | None) -> None:
    """Starts the JVM and its Spark context. What it and the Python workers print goes to `log_file`, else to stderr.

    Never to stdout, which carries the job's result.
    """
    os.environ["JAVA_HOME"] = str(require_java())
    os.environ.setdefault("SPARK_CONF_DIR", str(_LOCAL_CONF))
    log = _STDERR if log_file is None else os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        gateway = launch_gateway(conf, popen_kwargs={"stdout": log, "stderr": log})  # type: ignore[no-untyped-call]
    except PySparkRuntimeError as error:
        where = "above" if log_file is None else f"in {log_file}"
        raise TwhinError(f"Spark's JVM did not start; what it said is {where}") from error
    finally:
        if log != _STDERR:
            os.close(log)  # the JVM holds its own copy
    SparkContext(conf=conf, gateway=gateway)


def _check_delta(spark: SparkSession) -> None:
    """Spark itself only warns of an extension that it cannot load, and fails much later."""
    jvm = spark._jvm
    assert jvm is not None
    if not jvm.org.apache.spark.util.Utils.classIsLoadable(_DELTA_EXTENSION):
        spark.stop()
        raise TwhinError(
            f"Delta's jars are not on Spark's class path: run `make setup`, or start the job with "
            f"`spark-submit --packages {_DELTA_PACKAGE}`"
        )
