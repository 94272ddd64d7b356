"""Delta's jars: beside Spark's own, in the cache, or fetched by a stand-in for Java that writes what Ivy would."""

from __future__ import annotations

from pathlib import Path

import pytest

from twhin_spark.errors import TwhinError
from twhin_spark.tables import delta_jars

NAMES = ["delta-spark_4.2_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]
IVY = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in -dependency) artifact=$3 version=$4 ;; -retrieve) folder=${2%/*} ;; esac
  shift
done
echo jar > "$folder/$artifact-$version.jar"
"""


@pytest.fixture
def spark_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Spark's jars without Delta's, which the user may not write to."""
    folder = tmp_path / "spark"
    folder.mkdir()
    monkeypatch.setattr(delta_jars, "spark_folder", lambda: folder)
    monkeypatch.setattr(delta_jars.os, "access", lambda path, mode: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def make_java(home: Path, script: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text(script)
    (home / "bin" / "java").chmod(0o755)
    return home


def test_spark_of_these_tests_has_them_beside_its_own() -> None:
    jars = delta_jars.require_jars(Path("/no/java"), print)
    assert [jar.name for jar in jars] == NAMES
    assert {jar.parent for jar in jars} == {delta_jars.spark_folder()}


def test_they_are_fetched_once_and_said(spark_folder: Path, tmp_path: Path) -> None:
    java, lines = make_java(tmp_path / "java", IVY), list[str]()
    jars = delta_jars.require_jars(java, lines.append)
    assert jars == [tmp_path / "cache" / "twhin-spark" / "jars" / name for name in NAMES]
    assert lines == [f"fetching Delta's jars from Maven Central to {jars[0].parent}"]
    assert sorted(file.name for file in jars[0].parent.iterdir()) == NAMES
    assert delta_jars.require_jars(Path("/no/java"), lines.append) == jars
    assert len(lines) == 1


def test_a_folder_of_sparks_that_can_be_written_comes_first(
    spark_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_jars.os, "access", lambda path, mode: True)
    jars = delta_jars.require_jars(make_java(tmp_path / "java", IVY), print)
    assert {jar.parent for jar in jars} == {spark_folder}


def test_a_failed_fetch_is_one_line_with_the_reason_and_a_way_out(spark_folder: Path, tmp_path: Path) -> None:
    failing = make_java(tmp_path / "java", "#!/bin/sh\necho ':::: ERRORS'\necho\necho '\tConnection refused'\nexit 1\n")
    reason = (
        r"cannot fetch io\.delta:delta-spark_4\.2_2\.13:4\.4\.0 .*\(Connection refused\); put .* into .*/jars by hand"
    )
    with pytest.raises(TwhinError, match=reason) as raised:
        delta_jars.require_jars(failing, print)
    assert "\n" not in str(raised.value)


def test_without_a_folder_to_write_to_the_line_names_both(spark_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(TwhinError, match=r"cannot write Delta's jars to .*: .*; set XDG_CACHE_HOME .* or make .*spark"):
        delta_jars.require_jars(make_java(tmp_path / "java", IVY), print)


def test_a_user_without_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert delta_jars.cache_folder().name == "jars"
