"""Every kind of broken row gets its own reason, and keeps what it looked like."""

from __future__ import annotations

import csv
import io
import json
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.support.configs import SELECT, JudgeLog, accepted, small_config
from twhin_spark.logs.clean import check_logs
from twhin_spark.logs.expressions import check_expressions
from twhin_spark.logs.reader import KIND, RAW, RawLog
from twhin_spark.logs.relations import by_relation, edge_relation
from twhin_spark.logs.row_checks import check_rows

ALL_FIELDS = {**SELECT, "weight": "weight", "event_id": "id", "split": "part"}
BY_SOURCE = {"split": {"by": "source"}}
ODD_IDS = [
    "a,b",
    'say "hi"',
    "'single'",
    " lead",
    "trail ",
    "two  words",
    "back\\slash",
    "李 雷",
    "Чехов",
    "🙂",
    "0012",
    "x\ty",
]

CSV_HEADER = "id,time,action,source,target,weight,part"
CSV_LINES = {
    "e1,2026-05-02 10:00:00,like,u1,i1,1.5,train": None,
    "e2,2026-05-02T10:00:00Z,unfollow,u1,u2,1e-3,test": None,
    'e3,"2026-05-02","like","u,1","i ""1""",1,validation': None,
    "e4,2026-05-02 10:00:00,like,u1,i1,1.5": "malformed_line",
    "e5,2026-05-02 10:00:00,like,u1,i1,1.5,train,9": "malformed_line",
    'e6,"2026-05-02 10:00:00,like,u1,i1,1.5,train': "malformed_line",
    'e7,2026-05-02 10:00:00,like,u1,i1,1.5,"train': "malformed_line",
    "e8,2026-05-02 10:00:00,like,,i1,1.5,train": "missing_source_id",
    'e9,2026-05-02 10:00:00,like,"",i1,1.5,train': "missing_source_id",
    "e10,2026-05-02 10:00:00,like,u1, \t,1.5,train": "missing_target_id",
    "e11,2026-05-02 10:00:00,Like,u1,i1,1.5,train": "unknown_relation",
    "e12,2026-05-02 10:00:00,,u1,i1,1.5,train": "unknown_relation",
    "e13,,like,u1,i1,1.5,train": "unparsable_timestamp",
    "e14,2026-02-30 10:00:00,like,u1,i1,1.5,train": "unparsable_timestamp",
    "e15,12:30:00,like,u1,i1,1.5,train": "unparsable_timestamp",
    "e16,NaN,like,u1,i1,1.5,train": "unparsable_timestamp",
    "e17,1999-12-31 23:59:59,like,u1,i1,1.5,train": "timestamp_out_of_range",
    "e18,2100-01-01 00:00:00,like,u1,i1,1.5,train": "timestamp_out_of_range",
    "e19,1e30,like,u1,i1,1.5,train": "timestamp_out_of_range",
    "e20,-Infinity,like,u1,i1,1.5,train": "timestamp_out_of_range",
    "e21,2026-05-02 10:00:00,like,u1,i1,abc,train": "unparsable_weight",
    "e22,2026-05-02 10:00:00,like,u1,i1,,train": "unparsable_weight",
    "e23,2026-05-02 10:00:00,like,u1,i1,NaN,train": "non_finite_weight",
    "e24,2026-05-02 10:00:00,like,u1,i1,-Infinity,train": "non_finite_weight",
    "e25,2026-05-02 10:00:00,like,u1,i1,1e999,train": "non_finite_weight",
    "e26,2026-05-02 10:00:00,like,u1,i1,0,train": "non_positive_weight",
    "e27,2026-05-02 10:00:00,like,u1,i1,-2,train": "non_positive_weight",
    "e28,2026-05-02 10:00:00,like,u1,i1,1.1e9,train": "weight_out_of_range",
    "e29,2026-05-02 10:00:00,like,u1,i1,1.5,dev": "unknown_split",
    "e30,2026-05-02 10:00:00,like,u1,i1,1.5,": "unknown_split",
    ",2026-05-02 10:00:00,like,u1,i1,1.5,train": "missing_event_id",
    ",n/a,Like,,i1,abc,dev": "missing_source_id",  # the first of many
}


def _event(**changes: Any) -> str:
    event = {"id": "e", "time": "2026-05-02T10:00:00Z", "action": "like", "source": "u1", "target": "i1"}
    event |= {"weight": 1.5, "part": "train", **changes}
    return json.dumps({key: value for key, value in event.items() if value is not ...}, ensure_ascii=False)


JSON_LINES = {
    _event(): None,
    _event(id="2", source=17, weight="2.5"): None,
    _event(id="3", extra={"nested": [1, 2]}): None,
    _event(id="4")[:-1]: "malformed_line",
    _event(id="5")[:30]: "malformed_line",
    _event(id="6") + _event(id="6b"): "malformed_line",
    _event(id="7") + " and more": "malformed_line",
    _event(id="7b") + "}": "malformed_line",
    "[" + _event(id="8") + "]": "malformed_line",
    '"text"': "malformed_line",
    "17": "malformed_line",
    "null": "malformed_line",
    "e,2026,like": "malformed_line",
    "{}": "missing_source_id",
    _event(id="9", source=None): "missing_source_id",
    _event(id="10", source=...): "missing_source_id",
    _event(id="11", target=""): "missing_target_id",
    _event(id="12", target="\u3000"): "missing_target_id",
    _event(id="12b", target="\u00a0\t "): "missing_target_id",
    **{_event(id=f"12{name}", source=name, target=name): None for name in (" x", "!", "~", "\x7f", "\u00a0x", "é")},
    _event(id="13", action="mute"): "unknown_relation",
    _event(id="14", action=...): "unknown_relation",
    _event(id="15", time="n/a"): "unparsable_timestamp",
    _event(id="16", time=None): "unparsable_timestamp",
    _event(id="17", time="0001-01-01T00:00:00Z"): "timestamp_out_of_range",
    _event(id="18", time=1e30): "timestamp_out_of_range",
    _event(id="19", weight="heavy"): "unparsable_weight",
    _event(id="20", weight=...): "unparsable_weight",
    _event(id="21", weight=float("nan")): "non_finite_weight",
    _event(id="22", weight=float("inf")): "non_finite_weight",
    _event(id="23", weight="NaN"): "non_finite_weight",
    _event(id="24", weight=0): "non_positive_weight",
    _event(id="25", weight=-0.5): "non_positive_weight",
    _event(id="26", weight=1e10): "weight_out_of_range",
    _event(id="27", part="TRAIN"): "unknown_split",
    _event(id=None): "missing_event_id",
}


def _reasons(judged: DataFrame) -> dict[str, str]:
    return {row["raw"]: row["reason"] for row in judged.where("outcome = 'rejected'").select("raw", "reason").collect()}


@pytest.mark.parametrize(
    ("file", "header", "lines"),
    [("log.csv", [CSV_HEADER], CSV_LINES), ("log.json", [], JSON_LINES)],
    ids=["csv", "json"],
)
def test_every_broken_row_has_its_reason_and_its_line(
    judge_log: JudgeLog, file: str, header: list[str], lines: dict[str, str | None]
) -> None:
    judged = judge_log("\n".join([*header, *lines]) + "\n", file, BY_SOURCE, select=ALL_FIELDS)
    assert _reasons(judged) == {line: reason for line, reason in lines.items() if reason is not None}
    sound = [line for line, reason in lines.items() if reason is None]
    assert judged.where("outcome = 'accepted' AND raw IS NULL").count() == len(sound)
    assert judged.where("outcome <> 'header'").count() == len(lines)


def test_an_accepted_row_has_its_fields_in_their_types(judge_log: JudgeLog) -> None:
    lines = [CSV_HEADER, *[line for line, reason in CSV_LINES.items() if reason is None]]
    rows = {
        row["event_id"]: row for row in accepted(judge_log("\n".join(lines), sections=BY_SOURCE, select=ALL_FIELDS))
    }
    assert rows["e1"]["weight"] == 1.5
    assert rows["e2"]["relation"] == "unfollow"
    assert (rows["e3"]["source_id"], rows["e3"]["target_id"]) == ("u,1", 'i "1"')
    assert rows["e3"]["split"] == "validation"


def test_without_a_weight_every_event_is_one_and_a_time_may_be_missing(judge_log: JudgeLog) -> None:
    select = {"relation": "'like'", "source": "s", "target": "t"}
    rows = accepted(judge_log("s,t\nu,i\n", sections={"split": {"by": "fraction"}}, select=select))
    assert [(row["weight"], row["timestamp"], row["split"], row["event_id"]) for row in rows] == [
        (1.0, None, None, None)
    ]


@pytest.mark.parametrize("file", ["ids.csv", "ids.json"])
def test_odd_ids_survive(judge_log: JudgeLog, file: str) -> None:
    if file.endswith("csv"):
        text = io.StringIO()
        csv.writer(text).writerows([["source", "target"], *[[name, name[::-1]] for name in ODD_IDS]])
        content = text.getvalue()
    else:
        content = "\n".join(json.dumps({"source": name, "target": name[::-1]}) for name in ODD_IDS)
    select = {**SELECT, "relation": "'like'", "timestamp": "'2026-01-01'"}
    rows = accepted(judge_log(content, file, select=select))
    assert {(row["source_id"], row["target_id"]) for row in rows} == {(name, name[::-1]) for name in ODD_IDS}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("TIMESTAMP '2026-05-02 10:00:00.25'", datetime(2026, 5, 2, 10, 0, 0, 250_000)),
        ("TIMESTAMP_NTZ '2026-05-02 10:00:00'", datetime(2026, 5, 2, 10)),
        ("DATE '2026-05-02'", datetime(2026, 5, 2)),
        ("'2026-05-02T10:00:00+02:00'", datetime(2026, 5, 2, 8)),
        ("' 2026-05-02 10:00:00 '", datetime(2026, 5, 2, 10)),
        ("1777716000", datetime(2026, 5, 2, 10)),
        ("1777716000.25D", datetime(2026, 5, 2, 10, 0, 0, 250_000)),
        ("CAST(1777716000 AS DECIMAL(20, 3))", datetime(2026, 5, 2, 10)),
        ("'1777716000'", datetime(2026, 5, 2, 10)),
        ("1777716000000", "timestamp_out_of_range"),
        ("9223372036854775807", "timestamp_out_of_range"),
        ("-9223372036854775808", "timestamp_out_of_range"),
        ("1e308", "timestamp_out_of_range"),
        ("double('NaN')", "unparsable_timestamp"),
        ("NULL", "unparsable_timestamp"),
        ("'2026'", "timestamp_out_of_range"),  # a number: half an hour after 1970
        ("'20260502'", "timestamp_out_of_range"),
        ("'May 2nd'", "unparsable_timestamp"),
    ],
)
def test_a_time_may_have_many_forms(spark: SparkSession, value: str, expected: datetime | str) -> None:
    config = small_config(logs={"log": {"path": "x", "format": "parquet", "select": {**SELECT, "timestamp": value}}})
    rows = spark.createDataFrame([("like", "u", "i")], "action STRING, source STRING, target STRING")
    raw = RawLog(rows.withColumns({KIND: F.lit("row"), RAW: F.lit("raw")}), rows.columns)
    judged = check_rows(raw, check_expressions(raw, "log", config.logs["log"]), config)
    seen = judged.select(F.date_format("timestamp", "yyyy-MM-dd HH:mm:ss.SSSSSS").alias("time"), "reason").first()
    assert seen is not None
    if isinstance(expected, str):
        assert seen["reason"] == expected
    else:
        assert (seen["time"], seen["reason"]) == (f"{expected:%Y-%m-%d %H:%M:%S.%f}", None)


def test_the_window_and_the_condition_leave_rows_out(judge_log: JudgeLog) -> None:
    lines = {
        "like,u1,i1,2026-05-01 23:59:59": ("left_out", "window"),
        "like,u1,i1,2026-05-02 00:00:00": ("accepted", None),
        "like,u1,i1,2026-05-02 23:59:59": ("accepted", None),
        "like,u1,i1,2026-05-03 00:00:00": ("left_out", "window"),
        "mute,,i1,2026-05-03 00:00:00": ("left_out", "window"),  # broken, but not of this day
        "mute,u1,i1,2026-05-02 00:00:00": ("rejected", "unknown_relation"),
        "like,u1,i1,1899-12-30 00:00:00": ("rejected", "timestamp_out_of_range"),  # of no day
        "like,u1,i1,n/a": ("rejected", "unparsable_timestamp"),
        "like,u1": ("rejected", "malformed_line"),
        "view,u1,i1,2026-05-02 00:00:00": ("left_out", "where"),
        "view,,i1,n/a": ("left_out", "where"),
        ",u1,i1,2026-05-02 00:00:00": ("left_out", "where"),  # a condition that is null does not hold
    }
    window = {"window": {"from": "2026-05-02", "until": "2026-05-03"}}
    content = "\n".join(["action,source,target,time", *lines])
    judged = judge_log(content, sections=window, where="action <> 'view'").where("outcome <> 'header'")
    found = sorted((row["outcome"], str(row["reason"])) for row in judged.select("outcome", "reason").collect())
    assert found == sorted((outcome, str(reason)) for outcome, reason in lines.values())


def test_an_explode_makes_events_of_the_items_and_keeps_malformed_lines(judge_log: JudgeLog) -> None:
    content = 'user,items\nu1,"a,b,,a"\nu2,\nu3,c\nu4\nview,x\n'
    select = {
        "relation": "'like'",
        "source": "user",
        "target": "explode(split(items, ','))",
        "timestamp": "'2026-01-01'",
    }
    judged = judge_log(content, where="user <> 'view'", select=select)
    rows = judged.where("raw_row IS NOT NULL").collect()
    assert sorted((row["source_id"], row["target_id"]) for row in rows) == [
        ("u1", ""), ("u1", "a"), ("u1", "a"), ("u1", "b"), ("u3", "c"),
    ]  # fmt: skip
    assert len({row["raw_row"] for row in rows}) == 2
    assert _reasons(judged) == {'u1,"a,b,,a"': "missing_target_id", "u4": "malformed_line"}


def test_rows_that_an_explode_makes_nothing_of_are_counted(spark: SparkSession, scratch: Path) -> None:
    (scratch / "log.csv").write_text("user,items\nu1,\nu2,\n")
    select = {"relation": "'like'", "source": "user", "target": "explode(split(items, ','))"}
    log = {"path": str(scratch / "log.csv"), "format": "csv", "options": {"header": True}, "select": select}
    config = small_config(logs={"events": log}, split={"by": "fraction"})
    with ExitStack() as caches:
        counts = check_logs(spark, config, caches, lambda line: None).counts["events"]
    assert (counts.read, counts.left_out["where"]) == (0, 2)


def test_values_of_1500_relations_are_looked_up_without_recursion(spark: SparkSession) -> None:
    relations = {
        f"r{i}": {"source": "user", "target": "item", "half_life_days": 1 + i, "undone_by": f"un{i}"}
        for i in range(1500)
    }
    config = small_config(relations=relations)
    rows = spark.createDataFrame([("r7",), ("un1499",), ("x",)], "relation STRING")
    half_life = by_relation(config.relations, lambda relation: relation.half_life_days)
    source = by_relation(config.relations, lambda relation: relation.source)
    values = [tuple(row) for row in rows.select(half_life, source, edge_relation(config)).collect()]
    assert values == [(8.0, "user", "r7"), (None, None, "r1499"), (None, None, "x")]
