"""The cores of a Spark session."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Cores:
    """Numbers of cores: of all executors together, and of one executor."""

    total: int
    of_executor: int

    def slots(self, threads: int) -> int:
        """Return how many tasks with some threads run at the same time."""
        return max(self.total // threads, 1)


def session_cores(spark: SparkSession) -> Cores:
    """Return the cores of the session's executors, as far as they have been started."""
    context = spark.sparkContext
    total = context.defaultParallelism
    if is_local(spark):
        return Cores(total, total)
    pseudo = re.fullmatch(r"local-cluster\[\d+,\s*(\d+),.*\]", context.master or "")
    of_executor = int(pseudo[1] if pseudo else context.getConf().get("spark.executor.cores", "1") or 1)
    return Cores(total, min(of_executor, total))


def profile_of_tasks(spark: SparkSession, threads: int) -> ResourceProfile | None:
    """Return the resources of tasks with several threads, or None where Spark needs or takes none.

    In local mode, a stage has no more tasks than its cores allow. With dynamic allocation, a profile would start
    executors of its own; there `spark.task.cpus` is the user's.
    """
    conf = spark.sparkContext.getConf()
    if threads == 1 or is_local(spark) or allocates_dynamically(spark):
        return None
    if int(conf.get("spark.task.cpus", "1") or 1) >= threads:
        return None
    return ResourceProfileBuilder().require(TaskResourceRequests().cpus(threads)).build


def allocates_dynamically(spark: SparkSession) -> bool:
    """Return if executors come and go, so that no set of tasks can count on running at the same time."""
    return spark.sparkContext.getConf().get("spark.dynamicAllocation.enabled", "false") == "true"


def is_local(spark: SparkSession) -> bool:
    """Return if the session's tasks run in the driver's own JVM."""
    return re.match(r"local(\[|$)", spark.sparkContext.master or "") is not None
