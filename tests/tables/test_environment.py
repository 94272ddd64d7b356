"""The environment that Spark starts in, whatever the caller's shell has set."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from twhin_spark.errors import TwhinError
from twhin_spark.tables import environment


def prepare(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables as they are left, and the lines that were said."""
    lines: list[str] = []
    given = {"LANG": "en_GB.UTF-8", **variables}
    monkeypatch.setattr(environment.os, "environ", given)
    environment.prepare_environment(lines.append)
    return given, lines


def python(folder: Path, version: tuple[int, int], missing: list[str]) -> str:
    """Return the path of a command that answers as a Python of that version without these packages."""
    command = folder / "python"
    command.write_text(f"#!/bin/sh\necho '{json.dumps([version, missing])}'\n")
    command.chmod(0o755)
    return str(command)


def test_a_clean_environment_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert prepare(monkeypatch, SPARK_CONF_DIR=str(tmp_path)) == (
        {"LANG": "en_GB.UTF-8", "SPARK_CONF_DIR": str(tmp_path)},
        [],
    )


@pytest.mark.parametrize("name", ["SPARK_HOME", "PYSPARK_SUBMIT_ARGS", "SPARK_REMOTE"])
def test_another_spark_is_ignored_with_a_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    left, lines = prepare(monkeypatch, **{name: "/other"})
    assert name not in left
    assert lines == [f"ignoring {name}=/other: jobs run on the Spark of {sys.prefix}"]


def test_a_python_of_the_workers_with_all_packages_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = python(tmp_path, sys.version_info[:2], [])
    left, lines = prepare(monkeypatch, PYSPARK_PYTHON=other)
    assert left["PYSPARK_PYTHON"] == other
    assert lines == []


@pytest.mark.parametrize(
    ("version", "missing", "message"),
    [
        (
            sys.version_info[:2],
            ["numpy", "pyarrow"],
            r"PYSPARK_PYTHON is \S+/python, which does not have numpy, pyarrow; ",
        ),
        (
            (3, 9),
            [],
            r"PYSPARK_PYTHON is \S+, Python 3\.9, but this is Python 3\.\d+, and Spark requires the same",
        ),
    ],
)
def test_a_python_that_cannot_run_the_workers_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: tuple[int, int], missing: list[str], message: str
) -> None:
    with pytest.raises(TwhinError, match=message):
        prepare(monkeypatch, PYSPARK_PYTHON=python(tmp_path, version, missing))


def test_a_python_that_is_not_there_is_one_line_unless_it_is_the_clusters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(TwhinError, match="PYSPARK_PYTHON is /none/python, which is not a Python that can be run; "):
        prepare(monkeypatch, PYSPARK_PYTHON="/none/python")
    assert prepare(monkeypatch, PYSPARK_PYTHON="/none/python", SPARK_CONF_DIR=str(tmp_path))[1] == []


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has UTF-8 file names in every locale")
@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"LANG": ""}, {"LANG": "de_DE.ISO-8859-1"}, {"LC_CTYPE": "C"}])
def test_a_locale_without_utf8_is_replaced(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    assert prepare(monkeypatch, **variables)[0]["LC_ALL"] == "C.UTF-8"


def test_a_user_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    assert environment.nameless_user() is None
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr(environment.os, "getuid", lambda: 12345)
    left, _ = prepare(monkeypatch, JAVA_TOOL_OPTIONS="-Xint")
    assert left["JAVA_TOOL_OPTIONS"].startswith("-Xint -Duser.name=uid12345 -Duser.home=/")


def test_folders_that_cannot_be_used_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for variable, folder, message in (
        ("SPARK_CONF_DIR", "nowhere", "SPARK_CONF_DIR is .*nowhere, which is no folder; correct or unset it"),
        (
            "SPARK_LOCAL_DIRS",
            "file/x",
            "SPARK_LOCAL_DIRS is .*file/x, but must be a folder that Spark can write to: Not",
        ),
    ):
        with pytest.raises(TwhinError, match=f"^{message}"):
            prepare(monkeypatch, **{variable: str(tmp_path / folder)})
    left, _ = prepare(monkeypatch, SPARK_LOCAL_DIRS=f"{tmp_path}/a,{tmp_path}/b")
    assert left["SPARK_LOCAL_DIRS"].endswith("/b")
