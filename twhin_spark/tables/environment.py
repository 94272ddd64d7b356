"""The environment variables that the JVM and the Python workers start with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from twhin_spark.errors import TwhinError

# Variables that lead PySpark to another Spark, to another JVM's options, or to a Spark Connect server.
_OTHER_SPARKS = (
    "SPARK_HOME",
    "PYSPARK_SUBMIT_ARGS",
    "SPARK_REMOTE",
    "SPARK_CONNECT_MODE_ENABLED",
    "SPARK_API_MODE",
    "SPARK_TESTING",
)
# What workers import, and the least versions, as in setup.cfg.
WORKER_PACKAGES = {"numpy": (2, 0), "scipy": (1, 16), "pandas": (2, 2, 3), "pyarrow": (18,)}
_IMPORTED = (*WORKER_PACKAGES, "pyspark", "twhin_spark")
_LIST_MISSING = (
    "import importlib.util as u, json, sys; sys.path.pop(0); missing = [name for name in "
    f"{_IMPORTED} if u.find_spec(name) is None]; json.dump([sys.version_info[:2], missing], sys.stdout)"
)
_TIMEOUT_SECONDS = 60


def prepare_environment(progress: Callable[[str], None]) -> None:
    """Set the variables that a session of this process needs; `progress` receives a line for each that is ignored.

    Raises
    ------
    TwhinError
        The Python of PYSPARK_PYTHON cannot run the workers, or a folder that a variable names cannot be used.
    """
    for name in _OTHER_SPARKS:
        if value := os.environ.pop(name, None):
            progress(f"ignoring {name}={value}: jobs run on the Spark of {sys.prefix}")
    _check_folders()
    python = os.environ.get("PYSPARK_PYTHON", sys.executable)
    if python != sys.executable:
        _check_python(python)
    if sys.platform == "linux" and not _is_utf8(os.environ):
        os.environ["LC_ALL"] = "C.UTF-8"  # or the JVM opens no file whose name is not ASCII
    if (user := nameless_user()) is not None:
        options = f"-Duser.name={user} -Duser.home={tempfile.gettempdir()}"
        os.environ["JAVA_TOOL_OPTIONS"] = f"{os.environ.get('JAVA_TOOL_OPTIONS', '')} {options}".strip()


def nameless_user() -> str | None:
    """Return a name for the process's user if the system has none, as for many containers' users; else None."""
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return f"uid{os.getuid()}"
    return None


def _check_folders() -> None:
    """Check the folders of Spark's configuration and scratch: Spark would ignore the one, and end without the other."""
    conf = os.environ.get("SPARK_CONF_DIR")
    if conf and not Path(conf).is_dir():
        raise TwhinError(f"SPARK_CONF_DIR is {conf}, which is no folder; correct or unset it")
    for folder in filter(None, os.environ.get("SPARK_LOCAL_DIRS", "").split(",")):
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise TwhinError(
                f"SPARK_LOCAL_DIRS is {folder}, but must be a folder that Spark can write to: {error.strerror}"
            ) from None


def _is_utf8(environment: Mapping[str, str]) -> bool:
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or "C"
    return "utf8" in locale.lower().replace("-", "")


def _check_python(python: str) -> None:
    """Check the Python of the workers before Spark starts: its own message comes late, and does not name the Python."""
    command = shutil.which(python)
    if command is None and os.environ.get("SPARK_CONF_DIR"):
        return  # a path on the cluster's machines
    advice = "the workers run on it: unset PYSPARK_PYTHON, or install twhin-spark there"
    try:
        answer = subprocess.run(
            [command or python, "-c", _LIST_MISSING],
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
            text=True,
        )
        version, missing = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise TwhinError(f"PYSPARK_PYTHON is {python}, which is not a Python that can be run; {advice}") from None
    if missing:
        raise TwhinError(f"PYSPARK_PYTHON is {python}, which does not have {', '.join(missing)}; {advice}")
    if tuple(version) != sys.version_info[:2]:
        raise TwhinError(
            f"PYSPARK_PYTHON is {python}, Python {version[0]}.{version[1]}, but this is Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}, and Spark requires the same; {advice}"
        )
