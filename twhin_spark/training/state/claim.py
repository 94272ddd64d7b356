"""Claims: the right of one driver at a time to train a run.

A claim is a row of `training_claims` that Delta appends at most once for a run and a fence, so each fence has one
owner. A manifest has the fence of its claim, and readers take the highest one. So a driver that was taken for dead and
wakes up does no harm.
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
        """Release the run. If a driver dies before, one on the same machine sees that its process is gone."""
        self.folder.release(self.fence)


def claim_run(store: TableStore, folder: RunFolder, *, take_over: bool = False) -> Claim:
    """Claim a run for this process.

    Parameters
    ----------
    store
        The tables of the run's output.
    folder
        The folder of the run.
    take_over
        Claim it although another driver has a claim; that driver must be dead.

    Raises
    ------
    TrainingError
        Another driver has the run.
    """
    owner = _latest_claim(store, folder.run_id)
    if owner is not None and not take_over and _may_be_alive(owner, folder):
        raise TrainingError(_claimed_message(owner, folder))
    fence = 1 if owner is None else owner["fence"] + 1
    token, process = uuid.uuid4().hex, psutil.Process()
    now = datetime.now(UTC)
    row = (folder.run_id, fence, socket.gethostname(), process.pid, process.create_time(), now, token)
    rows = store.spark.createDataFrame([row], ddl(TRAINING_CLAIMS))
    store.append_once(TRAINING_CLAIMS, rows, series=f"claim {folder.run_id}", number=fence)
    owner = _latest_claim(store, folder.run_id)
    assert owner is not None
    if owner["token"] != token:
        raise TrainingError(_claimed_message(owner, folder))
    return Claim(fence, folder)


def _latest_claim(store: TableStore, run_id: str) -> Row | None:
    if not store.exists(TRAINING_CLAIMS):
        return None
    claims = store.read(TRAINING_CLAIMS).where(F.col("run_id") == run_id)
    return claims.orderBy(F.desc("fence")).first()


def _may_be_alive(owner: Row, folder: RunFolder) -> bool:
    """Return if the driver of a claim may be running. Of another machine one cannot tell, so it may."""
    if folder.is_released(owner["fence"]):
        return False
    if owner["host"] != socket.gethostname():
        return True
    if owner["process"] == os.getpid():  # an earlier training of this process, which has ended
        return False
    try:
        started: float = psutil.Process(owner["process"]).create_time()
        return abs(started - float(owner["process_started"])) < 1
    except psutil.NoSuchProcess:
        return False


def _claimed_message(owner: Row, folder: RunFolder) -> str:
    return (
        f"run {folder.run_id} is being trained by process {owner['process']} on {owner['host']}, since "
        f"{owner['claimed_at']:%Y-%m-%d %H:%M:%S} UTC; wait for it, or if it is dead, train with --take-over"
    )
