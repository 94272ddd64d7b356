"""The generated pages and README show what the records contain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.paths import PAGES
from benchmarks.quality.records import load_runs
from benchmarks.readme_results import BEGIN, END, README, with_results
from benchmarks.result_pages import write_pages
from benchmarks.speed.records import load


def test_pages_are_current(tmp_path: Path) -> None:
    write_pages(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in PAGES.iterdir())
    for name in names:
        if name.endswith(".md"):
            assert (tmp_path / name).read_text() == (PAGES / name).read_text(), "run `python -m benchmarks page`"


def test_readme_is_current() -> None:
    text = README.read_text()
    assert with_results(text, load_runs(), load()) == text, "run `python -m benchmarks.readme_results`"


def test_readme_has_no_figures_beside_the_generated_ones() -> None:
    before, _, rest = README.read_text().partition(BEGIN)
    written = before + rest.partition(END)[2]
    assert re.findall(r"(?<!\w)\.\d{3,4}\b|\d+\.\d+ (?:times|ms)\b|[\d,]+ edges (?:a second|/s)", written) == []


def test_only_the_generated_part_of_readme_is_replaced() -> None:
    text = with_results(f"before\n{BEGIN}old\n{END}after\n", load_runs(), load())
    assert text.startswith(f"before\n{BEGIN}|")
    assert text.endswith(f"{END}after\n")
    assert "old" not in text
    with pytest.raises(SystemExit, match="must contain the lines <!-- results:begin --> and <!-- results:end -->"):
        with_results("none", load_runs(), load())
