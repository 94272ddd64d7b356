"""Execution of a run on a session: lanes, threads and commits. None of it changes a bit, so a resume plans it anew."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession

from twhin_spark.config.training import TrainingConfig
from twhin_spark.tables.session_cores import allocates_dynamically, profile_of_tasks, session_cores
from twhin_spark.training.planning.costs import GroupLayout, Workload
from twhin_spark.training.planning.plan import task_threads


@dataclass(frozen=True)
class Execution:
    """How a run is executed.

    Attributes
    ----------
    lanes
        The most tasks that run at the same time.
    threads
        Threads of each task.
    profile
        Resources of a task; None for those of the session.
    epochs_a_commit, rounds_a_commit
        Epochs between commits if one task holds the whole model, and rounds otherwise.
    """

    lanes: int = 1
    threads: int = 1
    profile: ResourceProfile | None = None
    epochs_a_commit: int = 1
    rounds_a_commit: int = 1


def plan_execution(spark: SparkSession, training: TrainingConfig, work: Workload, layout: GroupLayout) -> Execution:
    """Plan the execution of a run with a layout on the executors that the session has now.

    Where executors come and go, a commit follows each round: rounds of one job need all of its tasks at the same time.
    """
    cores = session_cores(spark)
    threads = min(task_threads(training, cores), cores.of_executor)
    seconds = training.commit_seconds
    return Execution(
        cores.slots(threads),
        threads,
        profile_of_tasks(spark, threads),
        work.epochs_a_commit(seconds, threads),
        1 if allocates_dynamically(spark) else work.rounds_a_commit(layout, seconds, threads),
    )
