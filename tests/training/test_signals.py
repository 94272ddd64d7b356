"""Ctrl-C and SIGTERM end a training at a committed round, with a line that says how to continue."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.small_run import SmallRun, bits, wait_for_epoch


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_at_a_committed_round_from_which_a_resume_has_the_same_bits(
    tmp_path: Path, sent: signal.Signals, groups: int
) -> None:
    run = SmallRun.build(tmp_path, epochs=12 if groups == 4 else 1500, groups=groups)
    run.finish(run.start())
    whole = bits(run.folder().latest())
    process = run.start(start_new_session=True)
    wait_for_epoch(process)
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does: to the JVM as well
    else:
        process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    (error,) = [line for line in err.splitlines() if "error:" in line]
    assert f"run {run.folder().run_id}: stopped; epoch " in error
    assert error.endswith("is committed: the same command with --resume goes on there")
    assert "Traceback" not in err
    committed = run.folder().latest()
    assert committed is not None
    assert not committed.complete
    run.finish(run.start("train", "--resume"), says=f"resuming after {committed.position}, with its {groups} groups")
    assert bits(run.folder().latest()) == whole
