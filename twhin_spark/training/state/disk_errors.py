"""Errors of a full disk, as one line that says what to do. Used on the driver and on workers."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from twhin_spark.errors import TrainingError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MESSAGE = "No space left on device"  # in the JVM's errors and in a worker's trace


@contextmanager
def explain_full_disk(path: str) -> Iterator[None]:
    """Turn the errors of a full disk into a TrainingError that names the path that was written."""
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno in _FULL) and _MESSAGE not in str(error):
            raise
        raise TrainingError(
            f"{path}: {_MESSAGE}; the last committed round is intact: make room, then train with --resume"
        ) from error
