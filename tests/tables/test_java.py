"""Java homes made of a shell script each, that answers as a real `java` would."""

from __future__ import annotations

from pathlib import Path

import pytest

from twhin_spark.errors import TwhinError
from twhin_spark.tables import java

_VECTOR = "jdk.incubator.vector"


@pytest.fixture(autouse=True)
def no_real_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(java, "_JVM_FOLDERS", (str(tmp_path / "jvm"),))
    monkeypatch.setattr(java.sys, "platform", "linux")


def make_home(home: Path, version: str, modules: tuple[str, ...] = (_VECTOR,), *, exit_code: int = 0) -> Path:
    """A folder whose bin/java tells its modules, or its home where it is asked for its settings."""
    lines = "\n".join(f"{module}@{version}" for module in ("java.base", *modules))
    command = home / "bin" / "java"
    command.parent.mkdir(parents=True)
    command.write_text(
        f'#!/bin/sh\nif [ "$1" = --list-modules ]; then echo "{lines}"; else echo "    java.home = {home}" >&2; fi\n'
        f"exit {exit_code}\n"
    )
    command.chmod(0o755)
    return home


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.2"])
def test_a_java_of_a_known_version_fits(tmp_path: Path, version: str) -> None:
    assert java.is_suitable(make_home(tmp_path / "home", version))


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22", "18.0.1", "25.0.3", "170.1"])
def test_a_java_of_another_version_does_not_fit(tmp_path: Path, version: str) -> None:
    assert not java.is_suitable(make_home(tmp_path / "home", version))


def test_a_java_without_the_vector_module_does_not_fit(tmp_path: Path) -> None:
    assert not java.is_suitable(make_home(tmp_path / "home", "17.0.15", modules=("java.sql",)))


def test_a_folder_without_a_java_or_with_one_that_fails_does_not_fit(tmp_path: Path) -> None:
    assert not java.is_suitable(tmp_path)
    assert not java.is_suitable(make_home(tmp_path / "home", "17.0.15", exit_code=1))


def test_java_home_comes_first_then_the_path_then_the_usual_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = make_home(tmp_path / "jvm" / "java-21", "21.0.2")
    assert java.find_java() == usual
    on_path = make_home(tmp_path / "opt" / "java-17", "17.0.15")
    monkeypatch.setenv("PATH", str(on_path / "bin"))
    assert java.find_java() == on_path
    named = make_home(tmp_path / "named", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(named))
    assert java.find_java() == named


def test_a_link_on_the_path_leads_to_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path / "opt" / "java-17", "17.0.15")
    links = tmp_path / "links"
    links.mkdir()
    (links / "java").symlink_to(home / "bin" / "java")
    monkeypatch.setenv("PATH", str(links))
    assert java.find_java() == home


def test_what_does_not_fit_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(make_home(tmp_path / "named", "25.0.3")))
    make_home(tmp_path / "jvm" / "a", "25.0.3")
    usual = make_home(tmp_path / "jvm" / "b", "17.0.15")
    assert java.find_java() == usual


def test_where_there_is_none_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/no/such/folder")
    with pytest.raises(TwhinError, match=r"(?s)/no/such/folder.*17 or 21.*apt-get install") as raised:
        java.require_java()
    assert "\n" not in str(raised.value)


def test_options_that_no_java_starts_with_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "find_java", lambda: None)
    monkeypatch.setattr(java.shutil, "which", lambda command: f"/usr/bin/{command}")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xbogus")
    with pytest.raises(TwhinError, match=r"^Java does not start: JAVA_TOOL_OPTIONS is -Xbogus, which every Java takes"):
        java.require_java()
