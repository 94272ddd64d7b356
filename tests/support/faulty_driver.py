"""A training in this process whose tasks have accidents: `python faulty_driver.py CONFIG MASTER FAULT SCRATCH`.

FAULT is `none`; `fail`: the first attempt of a task writes its files and dies; `slow`: it sleeps first; or `lost`: it
sleeps first, and its executor is killed. Spark properties follow, as NAME=VALUE. Prints the number of accidents.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from pyspark import TaskContext

from twhin_spark.config import load_config
from twhin_spark.tables.session import open_session
from twhin_spark.training import rounds, trainer
from twhin_spark.training import train as training
from twhin_spark.training.workers.lane_task import LaneTask
from twhin_spark.training.workers.single_task import SingleTask

_PAUSE = 8.0  # seconds of a slow attempt


def clumsy(make_task: Callable[..., Any], fault: str, scratch: str) -> Callable[..., Any]:
    """Return a maker of tasks, of which the one in the first Spark partition has an accident, once a round."""

    def make(*args: Any) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
        task = make_task(*args)
        if isinstance(task, LaneTask):
            first = task.relay.rounds[0]
            name, once = f"{first.epoch}-{first.number}", "0-0" if len(task.relay.rounds) > 1 else "0-1"
        else:
            name, once = str(task.rounds[0].epoch), ""
        happens = fault == "fail" or name == once  # a pause in every job would take long

        def call(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            context = TaskContext.get()
            assert context is not None
            accident = happens and context.partitionId() == 0 and context.attemptNumber() == 0
            if accident and fault in ("slow", "lost"):
                Path(scratch, name).write_text(str(os.getpid()))
                time.sleep(_PAUSE)
            done = list(task(batches))  # its files are written
            if accident and fault == "fail":
                Path(scratch, name).write_text(str(os.getpid()))
                raise RuntimeError("an accident")
            yield from done

        return call

    return make


def kill_executor(scratch: Path) -> None:
    """Kill the executor of the first task that has an accident, while it runs."""
    while not (marks := list(scratch.iterdir())) or not marks[0].read_text():
        time.sleep(0.05)
    worker = psutil.Process(int(marks[0].read_text()))
    executor = next(
        parent for parent in worker.parents() if "CoarseGrainedExecutorBackend" in " ".join(parent.cmdline())
    )
    executor.send_signal(signal.SIGKILL)


def main(config_file: str, master: str, fault: str, scratch: str, *properties: str) -> None:
    extra = dict(setting.split("=", 1) for setting in properties)
    spark = open_session("faulty", log_file=Path(scratch).with_suffix(".log"), extra={"spark.master": master, **extra})
    if fault != "none":
        rounds.LaneTask = clumsy(LaneTask, fault, scratch)  # type: ignore[attr-defined]
        trainer.SingleTask = clumsy(SingleTask, fault, scratch)  # type: ignore[attr-defined]
    if fault == "lost":
        threading.Thread(target=kill_executor, args=(Path(scratch),), daemon=True).start()
    training.train(spark, load_config(Path(config_file)), lambda line: sys.stderr.write(f"{line}\n"))
    spark.stop()
    sys.stdout.write(f"{len(list(Path(scratch).iterdir()))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
