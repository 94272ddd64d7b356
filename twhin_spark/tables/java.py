"""Finding a Java that this project's Spark runs on.

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
_ANSWER_SECONDS = 30
_JVM_FOLDERS = ("/usr/lib/jvm", "/usr/java", "/opt/java")


def find_java() -> Path | None:
    """Home of the first Java that fits: JAVA_HOME, the PATH's `java`, then those installed in the usual places.

    None where there is none. A Java that does not fit is passed over, JAVA_HOME included.
    """
    return next((home for home in _candidates() if fits(home)), None)


def require_java() -> Path:
    """`find_java`, or a TwhinError that says what to install."""
    home = find_java()
    if home is None:
        raise TwhinError(
            f"no Java that Spark runs on: looked at JAVA_HOME ({os.environ.get('JAVA_HOME') or 'not set'}), the PATH "
            f"and {', '.join(_JVM_FOLDERS)}; install Java {' or '.join(map(str, VERSIONS))} with the module "
            f"{_VECTOR_MODULE} (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or point JAVA_HOME to one"
        )
    return home


def fits(home: Path) -> bool:
    """Whether `home` holds a Java of one of VERSIONS with the vector module, as that Java itself tells."""
    modules = _ask(home / "bin" / "java", "--list-modules")  # lines such as java.base@17.0.15
    version = re.search(r"^java\.base@(\d+)", modules, re.MULTILINE)
    return version is not None and int(version[1]) in VERSIONS and f"\n{_VECTOR_MODULE}@" in modules


def _candidates() -> Iterator[Path]:
    """Folders that may be a Java home, best first. Lazy, as each one after the first costs a look or a process."""
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"])
    if on_path := shutil.which("java"):
        # The command may be a link or a version manager's script: only Java knows its home.
        settings = _ask(Path(on_path), "-XshowSettings:properties", "-version")
        if home := re.search(r"^\s*java\.home = (.+)$", settings, re.MULTILINE):
            yield Path(home[1].strip())
    for folder in _JVM_FOLDERS:
        yield from sorted(Path(folder).glob("*"))
    if sys.platform == "darwin":
        for version in VERSIONS:
            if home_line := _ask(Path("/usr/libexec/java_home"), "-v", str(version)).strip():
                yield Path(home_line)


def _ask(command: Path, *arguments: str) -> str:
    """What `command` prints on stdout and stderr; "" where it cannot be run, fails or does not answer."""
    try:
        answer = subprocess.run(
            [command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=_ANSWER_SECONDS,
            check=True,
            text=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{require_java()}\n")
    except TwhinError as error:
        sys.exit(f"twhin-spark: {error}")
