"""A look at every worker of a cluster before anything long: its Python, its packages, its CPU, and its way to `output`.

Without it, a worker that lacks scipy, or cannot write to the store, ends a job minutes later with a trace.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from twhin_spark import __version__
from twhin_spark.errors import TwhinError
from twhin_spark.tables.cpu import cpu_name
from twhin_spark.tables.environment import WORKER_PACKAGES
from twhin_spark.tables.error_causes import cause_line
from twhin_spark.tables.session_cores import is_local, session_cores

_LOOKS = 2  # tasks for each core
_PAUSE = 0.2  # seconds that each of them takes, so that no core is free for another one's


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker has. versions: by package, without what it lacks. problem: why it cannot use `output`, if so."""

    host: str
    python: str
    path: str
    versions: dict[str, str]
    cpu: str
    problem: str | None

    def fault(self) -> str | None:
        """Return what is wrong, required and to do, or None."""
        ours = ".".join(map(str, sys.version_info[:2]))
        if self.python != ours:
            return (
                f"its Python is {self.python} ({self.path}), and the driver's is {ours}: give both the same, by "
                "spark.pyspark.python"
            )
        if missing := [name for name in WORKER_PACKAGES if name not in self.versions]:
            return (
                f"its Python, {self.path}, does not have {', '.join(missing)}: install them there, or ship an "
                "environment with --archives"
            )
        for name, least in WORKER_PACKAGES.items():
            if _numbers(self.versions[name]) < least:
                return f"it has {name} {self.versions[name]}, but {'.'.join(map(str, least))} or later is required"
        found = self.versions.get("twhin_spark")
        if found is None:
            return "it does not have twhin_spark: add --py-files twhin_spark.zip"
        if found != __version__:
            return f"it has twhin_spark {found}, but the driver has {__version__}: ship the driver's with --py-files"
        return self.problem


def check_workers(spark: SparkSession, output: str, progress: Callable[[str], None]) -> list[str]:
    """Look at every worker of a cluster, and say what they are.

    Parameters
    ----------
    spark
        The session. In local mode, workers are the driver's own processes, and nothing is looked at.
    output
        The config's output, in which each worker writes, reads and deletes a small file.
    progress
        Receives a line with the hosts, the Python and the CPUs.

    Returns
    -------
    list of str
        The names of all CPUs.

    Raises
    ------
    TwhinError
        A worker cannot run the job. The message names its host, what was found, and what to do.
    """
    if is_local(spark):
        return [cpu_name()]
    looks = _LOOKS * max(session_cores(spark).total, 1)
    look = F.udf(_look(output, __version__), "string", useArrow=False)  # plain Python: Arrow may be what is missing
    try:
        rows = spark.range(0, looks, 1, looks).select(look("id").alias("facts")).collect()
    except PySparkException as error:
        raise TwhinError(f"the workers run no Python: {cause_line(error)}") from error
    workers = [WorkerFacts(**json.loads(row["facts"])) for row in rows]
    faults = {worker.host: fault for worker in workers if (fault := worker.fault()) is not None}
    if faults:
        host, fault = next(iter(faults.items()))
        more = f" ({len(faults) - 1} other hosts have faults as well)" if len(faults) > 1 else ""
        raise TwhinError(f"worker on {host}: {fault}{more}")
    progress(f"workers: {_summary(workers)}")
    return sorted({worker.cpu for worker in workers})


def _look(output: str, version: str) -> Callable[[int], str]:
    """Return a function that tells what its worker has. It is shipped by value, as any package may be missing there."""
    names, pause = (*WORKER_PACKAGES, "twhin_spark"), _PAUSE

    def look(number: int) -> str:
        import importlib
        import json
        import platform
        import socket
        import sys
        import time

        time.sleep(pause)
        versions = {}
        for name in names:
            try:
                versions[name] = importlib.import_module(name).__version__
            except ImportError:
                continue
        facts: dict[str, Any] = {
            "host": socket.gethostname(),
            "python": ".".join(map(str, sys.version_info[:2])),
            "path": sys.executable,
            "versions": versions,
            "cpu": platform.machine(),
            "problem": None,
        }
        if len(versions) == len(names) and versions["twhin_spark"] == version:
            from twhin_spark.tables.cpu import cpu_name
            from twhin_spark.tables.write_probe import write_problem

            facts.update(cpu=cpu_name(), problem=write_problem(output))
        return json.dumps(facts)

    return look


def _summary(workers: Iterable[WorkerFacts]) -> str:
    hosts = Counter(worker.host for worker in workers)
    cpus = ", ".join(sorted({worker.cpu for worker in workers}))
    return f"{len(hosts)} hosts with Python {'.'.join(map(str, sys.version_info[:2]))} on {cpus}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3])
