"""What the machine does to a training: full disks and signals, as one line with what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from twhin_spark.errors import TrainingError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SAID = "No space left on device"  # by the JVM, and by what a worker's trace quotes


@contextmanager
def explain_full_disk(path: str) -> Iterator[None]:
    """Turns the errors of a full disk into a TrainingError that names what was written there."""
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno in _FULL) and _SAID not in str(error):
            raise
        raise TrainingError(
            f"{path}: {_SAID}; the last committed round is intact: make room, then train with --resume"
        ) from error
