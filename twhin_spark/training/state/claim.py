"""Who trains a run: one driver at a time.

A claim is an append to `training_claims` that Delta commits at most once for a (run, fence): each fence has one owner.
Manifests bear the fence, and readers take the highest: a driver that was thought dead and wakes up harms nothing.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
from pyspark.sql import Row
from pyspark.sql import functions as F

from twhin_spark.errors import TrainingError
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import TRAINING_CLAIMS, ddl
from twhin_spark.training.state.run_folder import RunFolder


@dataclass(frozen=True)
class Claim:
    """The right to commit rounds of a run, from `claim_run` to `release`."""

    fence: int
    folder: RunFolder

    def release(self) -> None:
        """Gives the run free. A driver that dies without it is found out by its process, on the same machine."""
        self.folder.release(self.fence)


def claim_run(store: TableStore, folder: RunFolder, *, take_over: bool = False) -> Claim:
    """Claims a run for this process.

    take_over: although another claim is held, whose driver is known to be dead.

    Raises TrainingError where another driver holds the run.
    """
    holder = _latest(store, folder.run_id)
    if holder is not None and not take_over and _may_live(holder, folder):
        raise TrainingError(_held(holder, folder))
    fence = 1 if holder is None else holder["fence"] + 1
    token, process = uuid.uuid4().hex, psutil.Process()
    now = datetime.now(UTC)
    row = (folder.run_id, fence, socket.gethostname(), process.pid, process.create_time(), now, token)
    rows = store.spark.createDataFrame([row], ddl(TRAINING_CLAIMS))
    store.append_once(TRAINING_CLAIMS, rows, series=f"claim {folder.run_id}", number=fence)
    holder = _latest(store, folder.run_id)
    assert holder is not None
    if holder["token"] != token:
        raise TrainingError(_held(holder, folder))
    return Claim(fence, folder)


def _latest(store: TableStore, run_id: str) -> Row | None:
    if not store.exists(TRAINING_CLAIMS):
        return None
    claims = store.read(TRAINING_CLAIMS).where(F.col("run_id") == run_id)
    return claims.orderBy(F.desc("fence")).first()


def _may_live(holder: Row, folder: RunFolder) -> bool:
    """Whether the driver of a claim may still run: always, for all one can tell, on another machine."""
    if folder.is_released(holder["fence"]):
        return False
    if holder["host"] != socket.gethostname():
        return True
    if holder["process"] == os.getpid():  # an earlier training of this process, which has ended
        return False
    try:
        began: float = psutil.Process(holder["process"]).create_time()
        return abs(began - float(holder["process_started"])) < 1
    except psutil.NoSuchProcess:
        return False


def _held(holder: Row, folder: RunFolder) -> str:
    return (
        f"run {folder.run_id} is being trained by process {holder['process']} on {holder['host']}, since "
        f"{holder['claimed_at']:%Y-%m-%d %H:%M:%S} UTC; wait for it, or if it is dead, train with --take-over"
    )
