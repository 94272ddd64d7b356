"""A driver that is killed at any moment loses the round in flight, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import TimeoutExpired

import numpy as np
import pytest
from small_run import SmallRun, bits

KILLS = int(os.environ.get("TWHIN_KILLS", "3"))
_LIFE = 2.0  # seconds of training in which a kill falls: some rounds
_EARLY = 0.1  # share of the kills that fall before training, while Spark starts and the run is claimed


@pytest.mark.slow
def test_kills_at_any_moment_change_no_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(int(os.environ.get("TWHIN_SEED", "0")))
    run = SmallRun.build(tmp_path, epochs=8 * KILLS, groups=4)  # more than its lives can train
    run.finish(run.start())
    whole = bits(run.folder().latest())
    for number in range(KILLS):
        process = run.start("train", *(["--resume"] if number else []))
        assert process.stderr is not None
        if rng.random() >= _EARLY or not number:  # the first one begins the run anew
            line = process.stderr.readline()
            assert "run small-" in line, line
            moment = rng.uniform(0, _LIFE)
        else:
            moment = rng.uniform(0, 10)
        try:
            process.wait(moment)
            pytest.fail("training was complete before the last kill")
        except TimeoutExpired:
            process.kill()
            process.communicate()
    run.finish(run.start("train", "--resume"))
    assert bits(run.folder().latest()) == whole
