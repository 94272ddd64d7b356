"""Progress while Spark works: how many of a job's tasks are done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_SECONDS = 10.0


@contextmanager
def watched(spark: SparkSession, what: str, tasks: int, progress: Callable[[str], None]) -> Iterator[None]:
    """Says every few seconds how far the widest stage that runs inside of the block has come."""
    tracker = spark.sparkContext.statusTracker()
    ended = threading.Event()

    def watch() -> None:
        said = 0
        while not ended.wait(_SECONDS):
            infos = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            done = max((info.numCompletedTasks for info in infos if info and info.numTasks == tasks), default=0)
            if done > said:
                progress(f"{what}: {done} of {tasks} tasks")
                said = done

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
