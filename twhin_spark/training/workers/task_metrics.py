"""Metrics of a task: the seconds of its parts and the memory of its process. Used on workers."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class StopWatch:
    """Wall seconds by the name of a part."""

    def __init__(self, *parts: str) -> None:
        self.seconds = dict.fromkeys(parts, 0.0)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time of the block to a part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - started

    def restart(self) -> dict[str, float]:
        """Return the seconds of all parts, and begin anew."""
        seconds = self.seconds
        self.seconds = dict.fromkeys(seconds, 0.0)
        return seconds


def peak_rss_bytes() -> int:
    """Return the most memory that this process has ever had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
