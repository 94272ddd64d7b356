from __future__ import annotations

from typing import Any

import pytest

from tests.support.configs import SELECT, small_config
from twhin_spark.config.sections import LogConfig
from twhin_spark.logs.likely_causes import likely_cause


def _log(log_format: str = "csv", **more: Any) -> LogConfig:
    return small_config(logs={"events": {"path": "x", "format": log_format, "select": SELECT, **more}}).logs["events"]


@pytest.mark.parametrize(
    ("digits", "remedy"),
    [("000", "time / 1000 in"), ("000000", "time / 1000000 in"), ("0" * 9, "time / 1000000000 in")],
)
def test_times_in_another_unit(digits: str, remedy: str) -> None:
    cause = likely_cause(_log(), "timestamp_out_of_range", [f"like,u{i},i{i},1777600{i:03}{digits}" for i in range(9)])
    assert cause is not None
    assert remedy in cause


@pytest.mark.parametrize(
    ("times", "pattern"),
    [
        (["20260501", "20261231"], "yyyyMMdd"),
        (["05/01/2026", "05/31/2026 10:00"], "M/d/yyyy"),
        (["1/5/2026", "31/5/2026"], "d/M/yyyy"),
        (["01.05.2026"], "d.M.yyyy"),
        (["2026/5/1"], "yyyy/M/d"),
    ],
)
@pytest.mark.parametrize("reason", ["unparsable_timestamp", "timestamp_out_of_range"])
def test_days_that_are_not_iso_8601(times: list[str], pattern: str, reason: str) -> None:
    cause = likely_cause(_log(), reason, [f"like,u1,i2,{time}" for time in times])
    assert cause == f"the times look like days: write try_to_timestamp(time, '{pattern}') in select.timestamp"


def test_names_that_are_no_relations_are_said() -> None:
    cause = likely_cause(_log(), "unknown_relation", ["LIKE", "Like", "LIKE"])
    assert cause == "select.relation gives 'LIKE', 'Like'"


@pytest.mark.parametrize(
    ("log", "lines", "remedy"),
    [
        (_log("json"), ["[", " {", '  "action": "like",', " },", "]"], "options.multiLine: true"),
        (_log("csv"), ["like;u1;i1;2026", "like;u2;i2;2026"], "options.sep: ';'"),
        (_log("csv", options={"sep": ";"}), ["like,u1,i1,2026"], "options.sep: ','"),
        (_log("csv"), ["like\tu1\ti1\t2026"], "options.sep: '\\t'"),
        (_log("json"), ['{"action": "like"},'], "the lines end with a comma"),
        (_log("parquet"), ['{"source": "caf\ufffd"}'], "read them by hex(...)"),
        (_log("json"), ["\x1f\ufffd\x08", "x", "y"], "let it end in .gz"),
        (_log("csv"), ["like,caf\ufffd,i1", "l\x00i\x00"], "options.encoding"),
    ],
)
def test_lines_that_are_all_malformed(log: LogConfig, lines: list[str], remedy: str) -> None:
    cause = likely_cause(log, "malformed_line", lines)
    assert cause is not None
    assert remedy in cause


@pytest.mark.parametrize(
    ("reason", "lines"),
    [
        ("timestamp_out_of_range", ["like,u1,i1,1900-01-01", "like,u1777600000000x,i1,99"]),
        ("malformed_line", ["like,u1,i1", "like,u2,i2"]),
        ("missing_source_id", ["like,,i1,1777600000000"]),
        ("malformed_line", []),
    ],
)
def test_nothing_is_guessed_without_a_sign(reason: str, lines: list[str]) -> None:
    assert likely_cause(_log(), reason, lines) is None
