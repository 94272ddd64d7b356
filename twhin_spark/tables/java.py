"""The search for a Java that Spark runs on.

`python -m twhin_spark.tables.java` prints the home of the Java that a job would use.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twhin_spark.errors import TwhinError

VERSIONS = (17, 21)
_VECTOR_MODULE = "jdk.incubator.vector"  # Spark's launcher adds it to every JVM; a Java without it does not start
_OPTIONS = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")
_TIMEOUT_SECONDS = 30
_JVM_FOLDERS = ("/usr/lib/jvm", "/usr/java", "/opt/java")


def find_java() -> Path | None:
    """Return the home of the first suitable Java, or None.

    JAVA_HOME comes first, then the PATH's `java`, then the usual folders. An unsuitable Java is skipped,
    even if JAVA_HOME names it.
    """
    return next((home for home in _candidates() if is_suitable(home)), None)


def require_java() -> Path:
    """Return the home of a suitable Java.

    Raises
    ------
    TwhinError
        There is none; the message says what to install.
    """
    home = find_java()
    if home is None:
        options = {name: text for name in _OPTIONS if (text := os.environ.get(name))}
        if options and shutil.which("java") is not None:
            raise TwhinError(
                f"Java does not start: {' and '.join(f'{name} is {text}' for name, text in options.items())}, which "
                "every Java takes as options; correct or unset it"
            )
        raise TwhinError(
            f"no Java that Spark runs on was found by JAVA_HOME ({os.environ.get('JAVA_HOME') or 'not set'}), on "
            f"the PATH or in {', '.join(_JVM_FOLDERS)}; install Java {' or '.join(map(str, VERSIONS))} with the module "
            f"{_VECTOR_MODULE} (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or point JAVA_HOME to one"
        )
    return home


def is_suitable(home: Path) -> bool:
    """Run the Java of `home` and return True if it has one of VERSIONS, and the vector module."""
    modules = _run(home / "bin" / "java", "--list-modules")  # lines such as java.base@17.0.15
    version = re.search(r"^java\.base@(\d+)", modules, re.MULTILINE)
    return version is not None and int(version[1]) in VERSIONS and f"\n{_VECTOR_MODULE}@" in modules


def _candidates() -> Iterator[Path]:
    """Yield folders that may be a Java home, best first. Lazy, as each after the first costs a search or a process."""
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"])
    if on_path := shutil.which("java"):
        # The command may be a link or a version manager's script: only Java itself can say its home.
        settings = _run(Path(on_path), "-XshowSettings:properties", "-version")
        if home := re.search(r"^\s*java\.home = (.+)$", settings, re.MULTILINE):
            yield Path(home[1].strip())
    for folder in _JVM_FOLDERS:
        yield from sorted(Path(folder).glob("*"))
    if sys.platform == "darwin":
        for version in VERSIONS:
            if home_line := _run(Path("/usr/libexec/java_home"), "-v", str(version)).strip():
                yield Path(home_line)


def _run(command: Path, *arguments: str) -> str:
    """Return what a command prints on stdout and stderr, or "" if it cannot be run, fails or does not end in time."""
    try:
        done = subprocess.run(
            [command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_SECONDS,
            check=True,
            text=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{require_java()}\n")
    except TwhinError as error:
        sys.exit(f"twhin-spark: {error}")
