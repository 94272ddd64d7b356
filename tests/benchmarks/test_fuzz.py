"""The fuzzed logs: the same for a seed, and a few of them read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks.fuzz.__main__ import judge
from benchmarks.fuzz.logs import FORMATS, make_log


def test_a_seed_makes_the_same_log(tmp_path: Path) -> None:
    logs = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        logs.append(make_log(1, folder))
    first, second = logs
    assert (first.rows, first.pairs, first.about) == (second.rows, second.pairs, second.about)
    assert first.rows >= len(first.sound) >= 8


@pytest.mark.parametrize("log_format", FORMATS)
def test_a_log_of_each_format_is_read_without_a_silent_loss(
    spark: SparkSession, tmp_path: Path, log_format: str
) -> None:
    log = make_log(FORMATS.index(log_format), tmp_path)
    assert log.must_read
    assert judge(spark, log) == ("read", ""), log.about
