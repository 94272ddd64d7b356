"""Imported when a Python process of Spark starts: a worker is killed when it imports the module of TWHIN_KILL_ON.

If TWHIN_KILL is executor, the executor is killed that the worker belongs to.
"""

import os
import signal
import sys
from pathlib import Path


def _executor():
    """Return the process id of the worker's executor: the parent of the worker's daemon."""
    daemon = os.getppid()
    return int(Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[1])


class _Killer:
    """A finder of modules that ends the process."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == os.environ.get("TWHIN_KILL_ON"):
            os.kill(_executor() if os.environ.get("TWHIN_KILL") == "executor" else os.getpid(), signal.SIGKILL)


if "pyspark.daemon" in sys.orig_argv or "pyspark.worker" in sys.orig_argv:
    sys.meta_path.insert(0, _Killer)
