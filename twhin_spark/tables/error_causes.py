"""The cause of a failure as one line: of Spark, Delta, Py4J, a Python worker or the operating system.

Spark wraps a cause several times: `Py4JJavaError: An error occurred while calling o606.collectToPython` holds a
SparkException, `Job aborted due to stage failure: Task 0 ...`, that holds an IOException, `No space left on device`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.errors.exceptions.captured import CapturedException

from twhin_spark import errors

_MOST_CHARACTERS = 600
_FULL_BYTES = 1 << 20  # a disk with less space left is taken to be full
_OWN = re.compile(r"^twhin_spark\.errors\.(\w+): (.+)$", re.MULTILINE)
_CLASS = re.compile(r"^([\w.$]+(Exception|Error|Failure):(\s+|$))+|^An error occurred while calling \S+\. Trace:$")
_CONDITION = re.compile(r"^\[[A-Z0-9_.]+\] ")
_STATE = re.compile(r"\s*SQLSTATE: \w+.*$")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffc]+")
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_DENIED = re.compile(r"Permission denied|Read-only file system|Operation not permitted")
_FILE = re.compile(r"(?:reading file|rows to|Cannot create) (\S+?)\.?(?=\s|$)")
_LOST = re.compile(r"ExecutorLostFailure \(.*?\)(?: Reason: (.+))?")
_FETCH = re.compile(r"failed the maximum allowable number of times: (\d+)[\s\S]*FetchFailed")
_MODULE = re.compile(r"^ModuleNotFoundError: No module named '(.+)'", re.MULTILINE)
_INDEX = re.compile(r"Index \d+ out of bounds for length \d+")
_HEAP = re.compile(r"OutOfMemoryError: (.+)")
# Lines of a JVM that does not start, before or after the one with the reason.
_SAYS_NOTHING = (
    "WARNING",
    "Picked up",
    "Error occurred during initialization of VM",
    "Error: Could not create the Java Virtual Machine",
    "Error: A fatal exception has occurred",
)
_CREATE = re.compile(r"Cannot create (?:file:)?(/\S+)")
# Messages that name a wrapper rather than a cause.
_WRAPPERS = ("Job aborted", "Task failed while writing", "Unable to close resource", "Exception thrown in awaitResult")


def cause_line(error: BaseException, folders: Sequence[str] = ()) -> str:
    """Return the most telling line of an error's chain of causes.

    Parameters
    ----------
    error
        Any exception; of one of this package, from the driver or a worker, its own message is returned.
    folders
        Local folders that the job writes to; a full one is named if there was no space left on a device.
    """
    if isinstance(error, errors.TwhinError):
        return str(error)
    texts = list(_texts(error))
    joined = "\n".join(texts)
    if own := _OWN.search(joined):
        return own[2]
    if known := _known_cause(error, texts, joined, folders):
        return known
    if isinstance(error, CapturedException | Py4JError):
        return _deepest_line(texts)
    if isinstance(error, PySparkException):  # of Python, where a class name says nothing
        return _line_of(str(error))
    return _line_of(texts[0], keep_class=True)


def exit_code(error: BaseException) -> int:
    """Return the exit code of a command that an error ends, which may be this package's error on a worker."""
    if isinstance(error, errors.TwhinError):
        return error.exit_code
    own = _OWN.search("\n".join(_texts(error)))
    return getattr(errors, own[1]).exit_code if own and hasattr(errors, own[1]) else 1


def start_failure(log: str) -> str:
    """Return the line of a JVM's output that says why it did not start."""
    lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith(_SAYS_NOTHING)]
    telling = [line for line in lines if re.search(r"Exception|Error|rror:|Unrecognized|Invalid", line)]
    line = next(iter(telling or lines), "it printed nothing")
    return _clean(re.sub(r"^(Exception in thread \S+ |Error: |Caused by: )", "", line))


def _known_cause(error: BaseException, texts: Sequence[str], joined: str, folders: Sequence[str]) -> str | None:
    """Return a line for the failures whose own messages do not say what happened, or where."""
    file = next((match[1] for text in texts if (match := _FILE.search(text.partition("\n")[0]))), None)
    if full := _NO_SPACE.search(joined):
        return f"{full[0]}: {_full_folder(error, file, folders)}"
    if _DENIED.search(joined):
        line = next(line for line in reversed(joined.splitlines()) if _DENIED.search(line))
        return _with_file(_clean(line), file)
    if (created := _CREATE.search(joined)) and _may_not_write(Path(created[1])):
        return f"{created[1]}: Permission denied"
    if isinstance(error, Py4JNetworkError) or "Answer from Java side is empty" in joined:
        return "Spark's JVM has ended: it crashed or was killed, as the system does when memory is used up"
    if lost := _LOST.search(joined):
        return f"an executor was lost: {_clean(lost[1] or 'Spark gives no reason')}"
    if fetch := _FETCH.search(joined):
        return (
            f"executors were lost {fetch[1]} times, with the shuffle files of a stage; the cluster's log says why, "
            "often that the memory was used up"
        )
    if "Python worker exited unexpectedly" in joined:
        return (
            "a Python worker crashed or was killed, as the system does when memory is used up; give it more memory, or "
            "run fewer tasks at once"
        )
    if file and (broken := _INDEX.search(joined)):
        return f"{file}: the file is damaged ({broken[0]})"
    if heap := _HEAP.search(joined):
        return f"a JVM of Spark has no memory left ({heap[1]}); raise spark.driver.memory or spark.executor.memory"
    if re.search(r"^MemoryError\b", joined, re.MULTILINE):
        return "a Python worker has no memory left (MemoryError); give it more memory, or run fewer tasks at once"
    if isinstance(error, CapturedException | Py4JError) and (missing := _MODULE.search(joined)):
        python = os.environ.get("PYSPARK_PYTHON", "python3")
        return f"the workers' Python, {python}, has no module '{missing[1]}'"
    return None


def _texts(error: BaseException) -> Iterator[str]:
    """Yield the messages of an error and of its causes, the deepest last, without stack traces of the JVM."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, Py4JJavaError):
            yield from _java_texts(current.java_exception, str(current))
        elif isinstance(current, CapturedException):
            yield from _java_texts(current._origin, str(current))
        else:
            kind = type(current)
            name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
            yield f"{name}: {current}" if str(current) else name
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _java_texts(throwable: object, otherwise: str) -> Iterator[str]:
    try:
        while throwable is not None:
            text: str = throwable.toString()  # type: ignore[attr-defined]
            yield text.partition("\n\tat ")[0]
            throwable = throwable.getCause()  # type: ignore[attr-defined]
    except (Py4JError, OSError):  # the JVM has ended
        yield otherwise.partition("\n\tat ")[0]


def _deepest_line(texts: Sequence[str]) -> str:
    """Return the line of the deepest cause that says something, with the file that was read or written."""
    file = next((match[1] for text in texts if (match := _FILE.search(text.partition("\n")[0]))), None)
    lines = [line for text in texts if (line := _line_of(text))]
    telling = [line for line in lines if " " in line and not line.startswith(_WRAPPERS)]
    return _with_file([*lines[:1], *telling][-1], file) if lines else "Spark gives no reason"


def _line_of(text: str, *, keep_class: bool = False) -> str:
    """Return the last line of a worker's trace, else the first line, with the next one if it ends in a colon."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("SQLSTATE")]
    if any(line.endswith("Traceback (most recent call last):") for line in lines):
        return _clean(lines[-1], keep_class=True)
    line = ""
    for part in lines:
        line = f"{line} {_clean(part, keep_class=keep_class)}".strip()
        if line and not line.endswith(":"):
            break
    return line.rstrip(":")


def _clean(line: str, *, keep_class: bool = False) -> str:
    """Remove class names, Spark's conditions and states, unprintable characters and a closing full stop."""
    line = _UNPRINTABLE.sub("?", line.strip())
    if not keep_class:
        line = _CLASS.sub("", line)
    return _STATE.sub("", _CONDITION.sub("", line)).rstrip(".;, ")[:_MOST_CHARACTERS]


def _with_file(line: str, file: str | None) -> str:
    name = (file or "").removeprefix("file:").lstrip("/")
    return line if not name or name in line else f"{file}: {line}"


def _full_folder(error: BaseException, file: str | None, folders: Sequence[str]) -> str:
    """Return the folder whose disk is full, or those that it may be."""
    if isinstance(error, OSError) and error.filename:
        return str(error.filename)
    candidates = dict.fromkeys([*([file.removeprefix("file:")] if file else []), *folders])
    full = [folder for folder in candidates if _is_full(folder)]
    return " or ".join(full[:1] or list(candidates)[:3]) or "Spark does not say where"


def _may_not_write(path: Path) -> bool:
    """Return if this user may not create a path, in the nearest folder above it that exists."""
    folder = next(parent for parent in path.parents if parent.exists())
    return not os.access(folder, os.W_OK | os.X_OK)


def _is_full(folder: str) -> bool:
    while folder and not os.path.exists(folder):  # noqa: PTH110
        folder = os.path.dirname(folder)  # noqa: PTH120
    try:
        return shutil.disk_usage(folder or ".").free < _FULL_BYTES
    except OSError:
        return False
