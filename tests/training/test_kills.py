"""A driver that is killed at any moment loses the round in flight, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import TimeoutExpired

import numpy as np
import pytest

from tests.support.small_run import SmallRun, bits, wait_for_epoch

KILLS = int(os.environ.get("TWHIN_KILLS", "3"))
_LIFE = 2.0  # seconds, after the first line of an epoch, in which a kill falls: some rounds
_START = 10.0  # seconds in which Spark starts, the run is claimed, and its first rounds are committed
_EARLY = 0.1  # share of the kills that fall there


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "kills", "epochs"),
    [(4, KILLS, 10 * KILLS), (1, min(KILLS, 3), 4000)],  # more epochs than so many lives can train
)
def test_kills_at_any_moment_change_no_bit_and_lose_no_committed_round(
    tmp_path: Path, groups: int, kills: int, epochs: int
) -> None:
    rng = np.random.default_rng(int(os.environ.get("TWHIN_SEED", "0")))
    run = SmallRun.build(tmp_path, epochs=epochs, groups=groups)
    run.finish(run.start())
    whole, committed = bits(run.folder().latest()), None
    for number in range(kills):
        process = run.start("train", *(["--resume"] if number else []))  # the first one begins the run anew
        said = ""
        if number and rng.random() < _EARLY:
            moment = rng.uniform(0, _START)
        else:
            said = wait_for_epoch(process)
            moment = rng.uniform(0, _LIFE)
        try:
            process.wait(moment)
            pytest.fail("training was complete before the last kill")
        except TimeoutExpired:
            process.kill()
            said += process.communicate()[1]
        if committed is not None and "resuming" in said:
            assert f"resuming after {committed.position}, with its {groups} groups" in said
        committed = run.folder().latest()
    assert committed is not None
    run.finish(run.start("train", "--resume"), says=f"resuming after {committed.position}, with its {groups} groups")
    assert bits(run.folder().latest()) == whole
