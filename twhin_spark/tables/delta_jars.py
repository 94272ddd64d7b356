"""Delta's jars, which pip does not install: finding them, and fetching them once from Maven Central."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from twhin_spark.errors import TwhinError

_VERSION = "4.4.0"
_ARTIFACTS = ("delta-spark_4.2_2.13", "delta-storage")
PACKAGE = f"io.delta:{_ARTIFACTS[0]}:{_VERSION}"  # as `spark-submit --packages` takes it


def spark_folder() -> Path:
    """Return the folder of Spark's own jars, which each way of starting this Spark reads."""
    package = importlib.util.find_spec("pyspark")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "jars"


def cache_folder() -> Path:
    """Return the folder of the jars for a user who may not write to Spark's own."""
    home = os.environ.get("HOME") or tempfile.gettempdir()  # a container's user may have neither home nor name
    return Path(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache") / "twhin-spark" / "jars"


def require_jars(java_home: Path, progress: Callable[[str], None]) -> list[Path]:
    """Return the paths of the jars; fetch them first if they are neither beside Spark's own nor in the cache.

    Not transitive: Delta's other dependencies are older versions of what Spark already has.

    Raises
    ------
    TwhinError
        The jars cannot be fetched, or there is no folder to write them to.
    """
    for folder in (spark_folder(), cache_folder()):
        if all(jar.exists() for jar in _jars_in(folder)):
            return _jars_in(folder)
    folder = spark_folder() if os.access(spark_folder(), os.W_OK) else cache_folder()
    progress(f"fetching Delta's jars from Maven Central to {folder}")
    with tempfile.TemporaryDirectory() as scratch:
        for artifact in _ARTIFACTS:
            _fetch(java_home, artifact, Path(scratch))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for jar in _jars_in(folder):
                part = jar.with_suffix(".part")
                shutil.copyfile(Path(scratch) / jar.name, part)
                part.rename(jar)
        except OSError as error:
            raise TwhinError(
                f"cannot write Delta's jars to {folder}: {error.strerror}; set XDG_CACHE_HOME to a folder that can be "
                f"written, or make {spark_folder()} writable"
            ) from None
    return _jars_in(folder)


def _jars_in(folder: Path) -> list[Path]:
    return [folder / f"{artifact}-{_VERSION}.jar" for artifact in _ARTIFACTS]


def _fetch(java_home: Path, artifact: str, folder: Path) -> None:
    """Run Ivy, which Spark carries, to write one artifact's jar to the folder."""
    ivy = [str(java_home / "bin" / "java"), f"-Divy.default.ivy.user.dir={folder}/ivy"]
    ivy += ["-cp", f"{spark_folder()}/*", "org.apache.ivy.Main", "-warn", "-cache", f"{folder}/ivy", "-notransitive"]
    ivy += ["-confs", "default", "-dependency", "io.delta", artifact, _VERSION, "-types", "jar"]
    ivy += ["-retrieve", f"{folder}/[artifact]-[revision].[ext]", "-overwriteMode", "always"]
    done = subprocess.run(ivy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode or not (folder / f"{artifact}-{_VERSION}.jar").exists():
        errors = done.stdout.partition(":::: ERRORS")[2].split(
            "\n"
        )  # empty if Maven Central answers, but has no such file
        reason = next((line.strip() for line in errors if line.strip()), "not found")
        raise TwhinError(
            f"cannot fetch io.delta:{artifact}:{_VERSION} from Maven Central ({reason}); put "
            f"{' and '.join(jar.name for jar in _jars_in(folder))} into {cache_folder()} by hand"
        )
