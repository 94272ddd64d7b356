"""Reading: formats, options, headers, folders, and what is said where it does not work."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.support.configs import SELECT, JudgeLog, accepted, small_config
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.logs.clean import check_inputs
from twhin_spark.logs.reader import read_log

GOOD = "action,source,target,time\nlike,u1,i1,2026-05-02\n"


def test_other_separators_comments_blank_lines_and_line_ends(judge_log: JudgeLog) -> None:
    content = "# made by hand\r\nlike\tu 1\ti,1\t2026-05-02\r\n\r\n   \r\nlike\tu2\ti2\t2026-05-03\r\n"
    select = {"relation": "_c0", "source": "_c1", "target": "_c2", "timestamp": "_c3"}
    rows = accepted(judge_log(content, "log.csv", options={"Sep": "\\t", "comment": "#"}, select=select))
    assert [(row["source_id"], row["target_id"]) for row in rows] == [("u 1", "i,1"), ("u2", "i2")]


def test_a_backslash_can_escape_and_quotes_can_be_switched_off(judge_log: JudgeLog) -> None:
    rows = accepted(judge_log(GOOD + 'like,"a \\"b\\"",i,2026-05-03\n', options={"header": True, "escape": "\\"}))
    assert rows[1]["source_id"] == 'a "b"'
    rows = accepted(judge_log(GOOD + 'like,12" vinyl,"i,2026-05-03\n', options={"header": True, "quote": ""}))
    assert (rows[1]["source_id"], rows[1]["target_id"]) == ('12" vinyl', '"i')


def test_another_encoding(judge_log: JudgeLog) -> None:
    content = (GOOD + "like,Zoë,naïve,2026-05-03\n").encode("latin-1")
    rows = accepted(judge_log(content, options={"header": True, "encoding": "ISO-8859-1"}))
    assert (rows[1]["source_id"], rows[1]["target_id"]) == ("Zoë", "naïve")


def test_a_quoted_line_break_needs_multiline(judge_log: JudgeLog) -> None:
    content = GOOD + 'like,"u\n2",i2,2026-05-03\nlike,u3\n'
    assert judge_log(content).where("reason = 'malformed_line'").count() == 3
    judged = judge_log(content, options={"header": True, "multiLine": True})
    assert [row["source_id"] for row in accepted(judged)] == ["u1", "u\n2"]
    assert [row["raw"] for row in judged.where("outcome = 'rejected'").collect()] == ["like,u3"]
    broken = judge_log(content.replace("like,u3\n", "like,,i,2026\n"), options={"header": True, "multiLine": True})
    row = broken.where("outcome = 'rejected'").first()
    assert row is not None
    assert row["raw"] == "like,,i,2026"


def test_typed_columns_make_other_values_malformed(judge_log: JudgeLog) -> None:
    content = "like u1 i1 1777716000\nlike u1 i1 soon\n"
    log = {"options": {"sep": " "}, "columns": "action STRING, source STRING, target STRING, time BIGINT"}
    judged = judge_log(content, **log)
    assert len(accepted(judged)) == 1
    assert [(row["reason"], row["raw"]) for row in judged.where("reason IS NOT NULL").collect()] == [
        ("malformed_line", "like u1 i1 soon")
    ]


def test_compressed_parquet_text_and_delta_logs(judge_log: JudgeLog, spark: SparkSession, scratch: Path) -> None:
    assert len(accepted(judge_log(gzip.compress(GOOD.encode()), "log.csv.gz", format="csv"))) == 1
    select = {k: f"split(value, ' ')[{i}]" for i, k in enumerate(["relation", "source", "target", "timestamp"])}
    assert len(accepted(judge_log("like u i 2026-05-02\n", "log.txt", format="text", select=select))) == 1
    rows = spark.createDataFrame(
        [("like", 7, 2.0, "2026-05-02"), ("like", 7, None, "2026-05-02")],
        "action STRING, source INT, target DOUBLE, time STRING",
    )
    for file_format in ("parquet", "delta"):
        rows.coalesce(1).write.format(file_format).save(str(scratch / file_format))
        judged = judge_log("", "unused.txt", format=file_format, path=str(scratch / file_format))
        assert [(row["source_id"], row["target_id"]) for row in accepted(judged)] == [("7", "2")]
        row = judged.where("outcome = 'rejected'").first()
        assert row is not None
        assert json.loads(row["raw"]) == {"action": "like", "source": 7, "time": "2026-05-02"}


def test_names_of_folders_are_columns(judge_log: JudgeLog, scratch: Path) -> None:
    select = {**SELECT, "timestamp": "day"}
    for file in ("days/day=2026-05-02/a.csv", "days/day=2026-05-03/b.csv"):
        judged = judge_log("action,source,target\nlike,u,i\n", file, path=str(scratch / "days"), select=select)
    assert [f"{row['timestamp']:%m-%d}" for row in accepted(judged)] == ["05-02", "05-03"]


@pytest.mark.parametrize("file", ["empty.csv", "empty.json"])
def test_an_empty_file_has_no_rows_whatever_the_select(judge_log: JudgeLog, file: str) -> None:
    assert judge_log("", file).count() == 0


def test_a_header_alone_has_no_rows_and_lines_that_are_all_malformed_are_all_rejected(judge_log: JudgeLog) -> None:
    assert judge_log(GOOD.splitlines()[0]).where("outcome <> 'header'").count() == 0
    judged = judge_log("{broken\n[1]\n", "log.json")
    assert {row["reason"] for row in judged.collect()} == {"malformed_line"}


def test_a_repeated_header_is_no_row(judge_log: JudgeLog) -> None:
    assert judge_log(GOOD + GOOD).where("outcome <> 'header'").count() == 2


@pytest.mark.parametrize("header", ["action,tarjet,sorce,at", "like,u1,i1,2026-05-02", "time"])
@pytest.mark.parametrize("multiline", [False, True])
def test_a_file_with_another_header_is_refused(
    spark: SparkSession, scratch: Path, header: str, multiline: bool
) -> None:
    (scratch / "a b.csv").write_text(GOOD)
    (scratch / "other.csv").write_text(f"{header}\nlike,i1,u1,2026-05-02\n")
    options = {"header": True, "multiLine": multiline}
    log = {"path": str(scratch), "format": "csv", "options": options, "select": SELECT}
    config = small_config(logs={"events": log})
    with pytest.raises(
        InputError,
        match=rf"^logs\.events\.path: .*/other\.csv begins with '{header}', which is not the header of",
    ):
        read_log(spark, "events", config.logs["events"])


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ({"columns": "a STRING, b"}, r"logs\.events\.columns is 'a STRING, b', but must be Spark DDL"),
        ({"select": {**SELECT, "timestamp": "to_time(tme"}}, r"logs\.events\.select\.timestamp is 'to_time\(tme'"),
        ({"select": {**SELECT, "source": "usr"}}, r"select\.source is 'usr', .* source, target, time; .*`usr`"),
        ({"select": {**SELECT, "source": "user"}}, r"select\.source is 'user', .* there is no column `user`$"),
        ({"select": {**SELECT, "source": "src || 'x'"}}, r"select\.source is .* `src` cannot be resolved"),
        ({"select": {**SELECT, "source": "no_such(source)"}}, r"select\.source is .*Spark says: .*no_such"),
        ({"select": {**SELECT, "source": "count(*)"}}, r"select\.source is 'count\(\*\)'"),
        ({"select": {**SELECT, "source": "*"}}, r"select\.source is '\*'"),
        ({"select": {**SELECT, "source": "array(source)"}}, r"select\.source is .* type array<string>, but must be "),
        ({"select": {**SELECT, "weight": "DATE '2026-01-01'"}}, r"select\.weight is .* type date, but must be "),
        ({"select": {**SELECT, "timestamp": "true"}}, r"select\.timestamp is 'true', which is of type boolean"),
        ({"select": {**SELECT, "target": "explode(map(1, 2))"}}, r"select\.target is 'explode\(map"),
        ({"where": "action"}, r"logs\.events\.where is 'action', .* is not a boolean$"),
        ({"where": "action = "}, r"logs\.events\.where is 'action = '"),
        ({"where": "explode(array(true))"}, r"logs\.events\.where is"),
    ],
)  # fmt: skip
def test_a_wrong_expression_is_one_line_with_its_path(judge_log: JudgeLog, log: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        judge_log(GOOD, **log)
    assert "\n" not in str(caught.value)
    assert "SQLSTATE" not in str(caught.value)


def test_two_wrong_expressions_are_two_lines(judge_log: JudgeLog) -> None:
    with pytest.raises(ConfigError) as caught:
        judge_log(GOOD, select={**SELECT, "source": "a", "target": "b"})
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == [
        "logs.events.select.source", "logs.events.select.target",
    ]  # fmt: skip


def test_what_is_no_file_of_the_format(judge_log: JudgeLog, scratch: Path) -> None:
    with pytest.raises(InputError, match=r"^logs\.events\.\w+: .*log.parquet is not a Parquet file: [^\n]*$"):
        judge_log("not parquet", "log.parquet").count()
    with pytest.raises(InputError, match=r"^logs\.events\.path: no file is at '.*nowhere.csv' [^\n]*$"):
        judge_log("", "log.csv", path=str(scratch / "nowhere.csv"))


@pytest.mark.parametrize(
    ("path", "ok"),
    [
        ("log.csv", True),
        ("lo?.c*", True),
        ("folder", True),
        ("fol*/day=*/*.csv", True),
        ("s3://bucket/log", True),
        ("log.{csv,json}", True),
        ("none.csv", False),
        ("*.json", False),
        ("hidden", False),
        ("void", False),
    ],
)
def test_paths_are_looked_for_before_spark_starts(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, path: str, ok: bool
) -> None:
    monkeypatch.chdir(scratch)
    for file in ("log.csv", "folder/day=1/part.csv", "hidden/_SUCCESS", "hidden/.part.crc"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("x")
    Path("void").mkdir()
    for form in [path] if "://" in path else [path, str(scratch / path)]:
        config = small_config(logs={"events": {"path": ["log.csv", form], "format": "csv", "select": SELECT}})
        if ok:
            check_inputs(config)
        else:
            with pytest.raises(
                InputError, match=r"^logs\.events\.path: no file is at '.*' \(seen from .*\); give a file[^\n]*$"
            ):
                check_inputs(config)


@pytest.mark.parametrize("option", ["mode", "inferSchema", "ENFORCESCHEMA"])
def test_the_readers_own_options_are_refused(scratch: Path, option: str) -> None:
    (scratch / "log.csv").write_text(GOOD)
    log = {"path": str(scratch / "log.csv"), "format": "csv", "options": {option: "x"}, "select": SELECT}
    with pytest.raises(ConfigError, match=rf"^logs\.events\.options\.{option} cannot be set, as "):
        check_inputs(small_config(logs={"events": log}))
