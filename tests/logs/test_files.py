"""One rule for paths: which files of a folder tree a path of a config reads."""

from __future__ import annotations

import os
import random
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from twhin_spark.logs.files import BasePathError, LogFiles, NoFileError, find_files, local_path
from twhin_spark.logs.glob_patterns import expand_braces, glob_regex
from twhin_spark.logs.listing import HadoopLister, LocalLister, is_hidden

TREE = (
    "a.csv",
    "b.txt",
    "2026/b.csv",
    "2026/05/c.csv",
    "2026/05/01/d.csv",
    "raw [1]/e.csv",
    "dt=01/x=a%2Fb/f.csv",
    "dt=02/x=__HIVE_DEFAULT_PARTITION__/g.csv",
    "_tmp/h.csv",
    "_day=1/i.csv",
    ".part.csv.crc",
    "_SUCCESS",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    for file in TREE:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x")
    (root / "empty.csv").touch()
    return root


def find(*paths: str | Path, base: str | None = None, names: str | None = None) -> LogFiles:
    return find_files(map(str, paths), lambda _: LocalLister(), base_path=base, name_glob=names)


def read(root: Path, pattern: str) -> str:
    return " ".join(sorted(Path(location).name[0] for location in find(f"{root}/{pattern}").locations))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.csv", "a"),
        ("*.csv", "a"),
        ("**/*.csv", "a b c d e f g i"),
        ("**", "a b b c d e f g i"),
        ("2026", "b c d"),
        ("2026/", "b c d"),
        ("2026/**", "b c d"),
        ("2026/*", "b c d"),
        ("2026/*/*", "c d"),
        ("**/01/*.csv", "d"),
        ("./2026/../a.csv", "a"),
        ("[ab].*", "a b"),
        ("[!b].csv", "a"),
        ("[a-b].{csv,txt}", "a b"),
        ("{a.csv,2026/05/c.csv}", "a c"),
        ("{a,{b,c}}.{csv,txt}", "a b"),
        ("raw [1]", "e"),
        ("raw [1]/*.csv", "e"),
        ("raw [1]/e.csv", "e"),
        ("r?w*/e.csv", "e"),
        ("_tmp", "h"),
        ("_t*/*.csv", "h"),
        ("_tmp/h.csv", "h"),
        ("_SUCCESS", "_"),
        ("dt=*", "f g"),
    ],
)
def test_what_a_path_reads(tree: Path, pattern: str, expected: str) -> None:
    assert read(tree, pattern) == expected


def test_what_is_left_out_is_named(tree: Path) -> None:
    files = find(tree)
    assert {Path(location).name for location in files.hidden} == {"_tmp", ".part.csv.crc", "_SUCCESS"}
    assert files.empty == (str(tree / "empty.csv"),)
    assert files.counts() == {"read": 9, "hidden": 3, "empty": 1}


@pytest.mark.parametrize("pattern", ["none.csv", "*.json", "2027", "raw [2]", "2026/05/01/d.csv/x", "**/none"])
def test_a_path_without_a_file_is_an_error(tree: Path, pattern: str) -> None:
    with pytest.raises(NoFileError):
        find(f"{tree}/{pattern}")


def test_a_file_is_read_once_and_in_order(tree: Path) -> None:
    files = find(tree / "2026", tree / "a.csv", tree / "2026/b.csv", tree / "**/a.csv")
    assert [Path(location).name for location in files.locations] == ["d.csv", "c.csv", "b.csv", "a.csv"]


def test_folders_give_text_columns(tree: Path) -> None:
    values = {Path(file.location).name: file.folder_values for file in find(tree / "dt=*").read}
    assert values == {"f.csv": {"dt": "01", "x": "a/b"}, "g.csv": {"dt": "02", "x": None}}
    assert find(tree / "dt=*").folder_columns == ["dt", "x"]
    assert [file.folder_values for file in find(tree / "dt=01").read] == [{"x": "a/b"}]
    assert [file.folder_values for file in find(tree / "dt=01", base=str(tree)).read] == [{"dt": "01", "x": "a/b"}]
    assert [file.folder_values for file in find(tree / "dt=01/x=a%2Fb/f.csv").read] == [{}]


def test_a_glob_of_names(tree: Path) -> None:
    assert [Path(location).name for location in find(tree, names="*.txt").locations] == ["b.txt"]


def test_a_link_to_a_folder_above_is_followed_no_further(tree: Path) -> None:
    (tree / "2026" / "loop").symlink_to(tree)
    (tree / "dead").symlink_to(tree / "nothing")
    assert len(find(tree / "2026").read) == 3


def test_relative_paths_and_those_with_the_scheme_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    for path in ("a.csv", f"file:{tree}/a.csv", f"file://{tree}/a.csv"):
        assert find(path).locations == [str(tree / "a.csv")]
    assert local_path("s3://bucket/a") == "s3://bucket/a"


@pytest.mark.parametrize("seed", range(20))
def test_every_name_is_found_as_it_is_written(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    signs = "ab*?[]{},!^-\\ #%+=;:'\"()&$~é日\n|"
    parts = ["".join(draw.choices(signs, k=draw.randint(1, 8))) for _ in range(3)]
    parts = [f"x{part}" for part in parts]
    file = tmp_path.joinpath(*parts)
    file.parent.mkdir(parents=True)
    file.write_text("x")
    for path in (file, file.parent, f"{file.parent}/*", f"{tmp_path}/**"):
        assert find(path).locations == [str(file)]


@pytest.mark.parametrize("seed", range(20))
def test_globs_are_those_of_the_shell(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    names = {"".join(draw.choices("abc", k=draw.randint(1, 4))) for _ in range(30)}
    pattern = "".join(draw.choices(["a", "b", "*", "?", "[ab]", "[!a]", "[a-b]"], k=3))
    for name in names:
        (tmp_path / name).write_text("x")
    expected = sorted(name for name in names if fnmatchcase(name, pattern))
    try:
        found = sorted(Path(location).name for location in find(f"{tmp_path}/{pattern}").locations)
    except NoFileError:
        found = []
    assert found == expected


def test_braces_and_signs() -> None:
    assert expand_braces("a{b,c{d,e}}f") == ["abf", "acdf", "acef"]
    assert expand_braces("a{b") == ["a{b"]
    assert glob_regex(r"a\*[.]b").fullmatch("a*.b")
    assert not glob_regex(r"a\*b").fullmatch("axb")
    assert re.fullmatch(glob_regex("[a"), "[a")
    assert [is_hidden(name) for name in ("_a", ".a", "_a=1", "a", "a._COPYING_")] == [True, True, False, False, True]
    assert os.sep == "/"


@pytest.mark.parametrize(
    "pattern", ["", "**", "**/*.csv", "2026/05/*/", "dt=*", "raw [1]", "{a,b}.*", "_tmp", "empty.csv"]
)
def test_hadoops_file_systems_list_the_same_files(spark: SparkSession, tree: Path, pattern: str) -> None:
    for odd in ("a b", "100%20", "é", "x+y", "q?"):
        (tree / odd).mkdir()
        (tree / odd / f"{odd}.csv").write_text("x")
    (tree / ".part.csv.crc").unlink()  # Hadoop's local file system has such files of its own, and lists none
    by_hadoop = find_files([f"{tree}/{pattern}"], lambda _: HadoopLister(spark))
    assert by_hadoop == find(f"{tree}/{pattern}")


def test_hadoops_file_systems_find_nothing_where_nothing_is(spark: SparkSession, tree: Path) -> None:
    assert HadoopLister(spark).find(f"{tree}/missing") is None
    with pytest.raises(NoFileError):
        find_files([f"{tree}/*.tsv"], lambda _: HadoopLister(spark))


def test_a_name_that_is_not_utf_8_gives_text(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/s=caf\xe9"
    os.mkdir(folder)  # noqa: PTH102
    with open(folder + b"/a.csv", "w") as file:  # noqa: PTH123
        file.write("x")
    assert [file.folder_values for file in find(tmp_path).read] == [{"s": "caf\\xe9"}]


def test_a_base_path_that_no_file_lies_below(tree: Path) -> None:
    with pytest.raises(BasePathError, match=r"^a folder above the files of the log, such as .*a\.csv"):
        find(tree / "a.csv", base=str(tree / "2026"))


def test_braces_in_a_glob_of_names(tree: Path) -> None:
    assert len(find(tree, names="{a,b}.*").read) == 3


def test_a_file_that_links_lead_to_is_read_once(tree: Path) -> None:
    (tree / "0-latest").symlink_to(tree / "2026")
    (tree / "z.csv").symlink_to(tree / "a.csv")
    files = find(tree)
    assert len(files.read) == len({Path(location).resolve() for location in files.locations})
    assert {str(Path(location).relative_to(tree)) for location in files.linked} == {
        "0-latest/b.csv", "0-latest/05/c.csv", "0-latest/05/01/d.csv", "z.csv",
    }  # fmt: skip
    assert [Path(location).name for location in find(tree / "z.csv").locations] == ["z.csv"]
