"""The stage as a whole: tables, and counts that add up."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.sql import Row, SparkSession

from tests.support.configs import SELECT, small_config
from twhin_spark.config import Config
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.logs.clean import CleanLogs, check_logs, clean_logs
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EVENTS, REJECTED_EVENTS, ROW_COUNTS

LIKES = [
    "id,action,source,target,time,weight",
    "a,like,u1,i1,2026-05-02,1",
    "b,like,u1,i2,2026-05-02,5",
    "b,like,u1,i2,2026-05-02,3",  # the same event with another weight: the smallest counts
    "b,like,u1,i2,2026-05-02,4",
    "c,like,u2,i1,2026-05-03,1",
    "c,like,u2,i1,2026-05-03,1",
    "c,like,u2,i1,2026-05-03,0",  # rejected, so no copy of anything
    "d,view,u2,i1,2026-05-03,1",
    "e,like,u2,i1,2026-06-03,1",  # outside of the window
    "f,like,u2",
]
FOLLOWS = [
    {"action": "follow", "source": "u1", "target": "u2", "time": "2026-05-02T00:00:00Z"},
    {"action": "follow", "source": "u1", "target": "u2", "time": "2026-05-02T00:00:00Z"},
    {"action": "unfollow", "source": "u1", "target": "u2", "time": "2026-05-02T00:00:00Z"},
    {"action": "follow", "source": "b", "target": "u2", "time": "2026-05-02T00:00:00Z"},
]
BASKETS = ["u1\ti1 i2 i1", "u2\t", "u3", "u4\ti3"]


@dataclass
class Run:
    config: Config
    cleaned: CleanLogs
    events: list[Row]
    rejected: list[Row]


def _config(folder: Path, output: Path) -> Config:
    likes = {"path": f"{folder}/likes.csv", "format": "csv", "options": {"header": True}, "where": "action <> 'view'"}
    logs = {
        "likes": {**likes, "select": {**SELECT, "weight": "weight", "event_id": "id"}},
        "follows": {"path": f"{folder}/follows.json", "format": "json", "replays": "all_fields", "select": SELECT},
        "baskets": {
            "path": f"{folder}/baskets.txt",
            "format": "text",
            "select": {
                "relation": "'like'",
                "source": "split(value, '\t')[0]",
                "target": "explode(filter(split(split(value, '\t')[1], ' '), x -> x <> ''))",
                "timestamp": "'2026-05-04'",
            },
        },
    }
    sections = {
        "window": {"until": "2026-06-01"},
        "split": {"test": 0, "validation": 0},
        "graph": {"max_rejected": 0.5},
    }
    return small_config(output, logs=logs, **sections)


@pytest.fixture(scope="module")
def run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("logs")
    rows = LIKES[1:]
    random.Random(5).shuffle(rows)
    (folder / "likes.csv").write_text("\n".join([LIKES[0], *rows]))
    (folder / "follows.json").write_text("\n".join(json.dumps(follow) for follow in FOLLOWS))
    (folder / "baskets.txt").write_text("\n".join(BASKETS))
    config = _config(folder, folder / "out")
    store = TableStore(spark, config.output)
    with ExitStack() as caches:
        cleaned = clean_logs(spark, config, store, caches, lambda line: None)
        yield Run(config, cleaned, store.read(EVENTS).collect(), store.read(REJECTED_EVENTS).collect())


def test_rows_read_are_accepted_replayed_or_rejected(run: Run) -> None:
    likes, follows, baskets = (run.cleaned.counts[name] for name in ("likes", "follows", "baskets"))
    assert likes.as_dict() == {
        "read": 8,
        "accepted": 3,
        "replayed": 3,
        "rejected": 2,
        "rejected_by_reason": {"malformed_line": 1, "non_positive_weight": 1},
        "left_out": {"where": 1, "window": 1},
        "files": {"read": 1, "hidden": 0, "empty": 0},
    }
    assert (follows.read, follows.accepted, follows.replayed) == (4, 3, 1)
    assert (baskets.read, baskets.accepted, baskets.replayed, baskets.left_out["where"]) == (4, 4, 0, 2)
    total = run.cleaned.total
    assert total.read == total.accepted + total.replayed + total.rejected == 16


def test_events_are_there_once_with_types_and_split(run: Run) -> None:
    assert len(run.events) == run.cleaned.total.accepted
    likes = {row["event_id"]: row for row in run.events if row["log"] == "likes"}
    assert {name: row["weight"] for name, row in likes.items()} == {"a": 1.0, "b": 3.0, "c": 1.0}
    types = {row["relation"]: (row["source_type"], row["target_type"]) for row in run.events}
    assert types == {"like": ("user", "item"), "follow": ("user", "user"), "unfollow": ("user", "user")}
    assert {row["split"] for row in run.events} == {"train"}
    assert sorted(row["target_id"] for row in run.events if row["log"] == "baskets") == ["i1", "i1", "i2", "i3"]


def test_rejected_rows_are_kept_with_their_reason(run: Run) -> None:
    assert {(row["log"], row["reason"], row["raw"]) for row in run.rejected} == {
        ("likes", "malformed_line", "f,like,u2"),
        ("likes", "non_positive_weight", "c,like,u2,i1,2026-05-03,0"),
    }


def test_the_rows_that_spark_holds_are_those_of_the_table(spark: SparkSession, run: Run) -> None:
    table = TableStore(spark, run.config.output).read(EVENTS, run.cleaned.tables[EVENTS.name])
    events = run.cleaned.events.select(*EVENTS.names)
    assert_df_equality(events, table, ignore_row_order=True, ignore_nullable=True, ignore_metadata=True)


def test_too_many_rejected_rows_fail_with_the_reasons_and_leave_the_quarantine(
    spark: SparkSession, caches: ExitStack, run: Run
) -> None:
    strict = run.config.model_copy(update={"graph": run.config.graph.model_copy(update={"max_rejected": 0.2})})
    store = TableStore(spark, strict.output)
    events = store.version(EVENTS)
    with pytest.raises(InputError) as caught:
        clean_logs(spark, strict, store, caches, lambda line: None)
    assert str(caught.value) == (
        "logs.likes: 2 of 8 rows were rejected (25.0%), more than graph.max_rejected, 20.0%: malformed_line 1, "
        f"non_positive_weight 1; the rows are in {store.path(REJECTED_EVENTS)}"
    )
    assert store.version(EVENTS) == events
    assert store.read(REJECTED_EVENTS).count() == 2
    counted = {(row["log"], row["outcome"], row["reason"]): row["rows"] for row in store.read(ROW_COUNTS).collect()}
    assert counted["likes", "rejected", "malformed_line"] == 1
    assert counted["likes", "read", None] == 8
    assert counted["baskets", "left_out", "where"] == 2


def test_no_event_at_all_is_said(spark: SparkSession, caches: ExitStack, scratch: Path) -> None:
    (scratch / "log.csv").write_text("action,source,target,time\nlike,u,i,2026-05-02\n")
    log = {"path": str(scratch / "log.csv"), "format": "csv", "options": {"header": True}, "where": "false"}
    config = small_config(scratch / "out", logs={"events": {**log, "select": SELECT}})
    with pytest.raises(
        InputError, match=r"^logs: there is no event in events \(0 rows, 0 accepted, 1 left out by where\)"
    ):
        clean_logs(spark, config, TableStore(spark, config.output), caches, lambda line: None)


def test_a_log_in_milliseconds_is_told_so(spark: SparkSession, scratch: Path) -> None:
    rows = [f"like,u{i},i{i},{1_777_600_000_000 + i}\n" for i in range(20)]
    (scratch / "log.csv").write_text("action,source,target,time\n" + "".join(rows))
    log = {"path": str(scratch / "log.csv"), "format": "csv", "options": {"header": True}, "select": SELECT}
    config = small_config(scratch / "out", logs={"events": log})
    with ExitStack() as caches, pytest.raises(InputError, match=r"look like milliseconds: write time / 1000 in select"):
        clean_logs(spark, config, TableStore(spark, config.output), caches, print)


def test_ids_that_are_written_as_nothing_are_counted(spark: SparkSession, scratch: Path) -> None:
    rows = ["like,None,i1", "like,null,i2", "like,u1,NaN", "like,u2,i3", "like,,i4"]
    (scratch / "log.csv").write_text("\n".join(f"{row},2026-01-0{day + 1}" for day, row in enumerate(rows)))
    columns = ", ".join(f"{name} STRING" for name in ("action", "source", "target", "time"))
    log = {"path": str(scratch / "log.csv"), "format": "csv", "columns": columns, "select": SELECT}
    config = small_config(scratch / "out", logs={"events": log}, graph={"max_rejected": 0.5})
    lines: list[str] = []
    with ExitStack() as caches:
        assert clean_logs(spark, config, TableStore(spark, config.output), caches, lines.append).total.accepted == 4
    assert any("3 accepted rows have an id written None, null or NaN" in line for line in lines), lines


@pytest.mark.parametrize(
    ("timestamp", "cause"),
    [
        ("to_timestamp(time, 'EEE MMM dd HH:mm:ss Z yyyy')", "EEE MMM dd HH:mm:ss Z yyyy"),
        ("to_timestamp(time, 'YYYY-MM-dd')", "week-based"),
        ("if(source = 'u', raise_error('zero'), 0)", "zero"),
    ],
)
def test_an_expression_that_fails_on_a_row_is_named(
    spark: SparkSession, scratch: Path, timestamp: str, cause: str
) -> None:
    (scratch / "log.csv").write_text("action,source,target,time\nlike,u,i,Fri May 01 00:00:00 +0000 2026\n")
    select = {**SELECT, "timestamp": timestamp}
    log = {"path": str(scratch / "log.csv"), "format": "csv", "options": {"header": True}, "select": select}
    config = small_config(logs={"events": log})
    start = re.escape(f"logs.events.select.timestamp is '{timestamp}', which fails on a row of the log: ")
    with ExitStack() as caches, pytest.raises(ConfigError, match=rf"^{start}.*{cause}.*; correct it; if"):
        check_logs(spark, config, caches, lambda _: None)
