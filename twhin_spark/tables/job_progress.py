"""Progress lines while Spark works: how many of a job's tasks are done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_SECONDS = 10.0


@contextmanager
def task_progress(spark: SparkSession, label: str, tasks: int, progress: Callable[[str], None]) -> Iterator[None]:
    """Report every ten seconds how many of the `tasks` of the stage that runs inside the block are done."""
    tracker = spark.sparkContext.statusTracker()
    ended = threading.Event()

    def watch() -> None:
        reported = 0
        while not ended.wait(_SECONDS):
            infos = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            done = max((info.numCompletedTasks for info in infos if info and info.numTasks == tasks), default=0)
            if done > reported:
                progress(f"{label}: {done} of {tasks} tasks")
                reported = done

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
