"""A standalone Spark cluster on this machine: a master and a worker of one core, processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyspark

from twhin_spark.tables.java import require_java

_SPARK = Path(pyspark.__file__).parent
_DEPLOY = "org.apache.spark.deploy"
_START_SECONDS = 60.0


@contextmanager
def standalone_cluster(folder: Path, **variables: str) -> Iterator[str]:
    """Start the cluster, yield its URL, and stop it.

    Parameters
    ----------
    folder
        Empty folder for logs and work files.
    variables
        Environment of the worker, which its executors and their Python workers inherit.
    """
    with ExitStack() as processes:
        master = _start(processes, folder / "master.log", ["master.Master", "--port", "0", "--webui-port", "0"], {})
        url = _wait_for(master, r"Starting Spark master at (spark://\S+)")
        worker = ["worker.Worker", "--cores", "1", "--memory", "1g", "--webui-port", "0"]
        log = _start(processes, folder / "worker.log", [*worker, "--work-dir", str(folder / "work"), url], variables)
        _wait_for(log, r"(Successfully registered with master)")
        yield url


def _start(processes: ExitStack, log: Path, command: list[str], variables: dict[str, str]) -> Path:
    name, *options = command
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))},
        "JAVA_HOME": str(require_java()),
        "SPARK_HOME": str(_SPARK),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        **variables,
    }
    start = [str(_SPARK / "bin" / "spark-class"), f"{_DEPLOY}.{name}", "--host", "127.0.0.1", *options]
    with log.open("w") as file:
        process = subprocess.Popen(start, env=environment, stdout=file, stderr=file)
    processes.callback(_stop, process)
    return log


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(_START_SECONDS)


def _wait_for(log: Path, pattern: str) -> str:
    end = time.monotonic() + _START_SECONDS
    while (match := re.search(pattern, log.read_text())) is None:
        if time.monotonic() > end:
            raise TimeoutError(log.read_text())
        time.sleep(0.2)
    return match[1]
