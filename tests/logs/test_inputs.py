"""Input as it comes: what is read, and with which ids, for kinds of files that users have reported."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.support.configs import SELECT, JudgeLog, accepted
from tests.support.log_files import HEADER, Reader, csv_of, table
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.logs.spark_errors import one_line

GERMAN = {"relation": "was", "source": "wer", "target": "`was noch`", "timestamp": "wann"}
DAY = datetime(2026, 5, 2, tzinfo=UTC)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-8-sig"])
@pytest.mark.parametrize("multiline", [False, True])
def test_encodings(ids: Reader, scratch: Path, encoding: str, multiline: bool) -> None:
    (scratch / "log.csv").write_bytes(csv_of("café", "cafè").encode(encoding))
    names = {"utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE", "latin-1": "ISO-8859-1", "utf-8-sig": "UTF-8"}
    options = {"header": True, "multiLine": multiline, "encoding": names.get(encoding, encoding)}
    assert ids(scratch, options=options) == {"accepted": ["cafè", "café"]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_json_and_text_of_two_bytes(ids: Reader, scratch: Path, encoding: str) -> None:
    lines = ['{"action": "like", "source": "é", "target": "i", "time": "2026-05-02"}', "{broken"]
    (scratch / "log.json").write_bytes("\r\n".join(lines).encode(encoding))
    name = {"utf-16": "UTF-16", "utf-16-le": "UTF-16LE"}[encoding]
    assert ids(scratch / "log.json", format="json", options={"encoding": name}) == {
        "accepted": ["é"],
        "malformed_line": [None],
    }


@pytest.mark.parametrize("options", [{}, {"encoding": "UTF-8"}, {"multiLine": True}])
def test_bytes_that_are_not_utf_8_are_malformed(ids: Reader, scratch: Path, options: dict[str, Any]) -> None:
    (scratch / "log.csv").write_bytes(csv_of("café", "cafè", "u").encode("latin-1"))
    found = ids(scratch, options={"header": True, **options})
    assert found["accepted"] == ["u"]
    assert len(found["malformed_line"]) == 2


def test_bytes_that_are_not_utf_8_in_text_and_parquet(ids: Reader, scratch: Path) -> None:
    (scratch / "log.txt").write_bytes("like café i\nlike u i\n".encode("latin-1"))
    select = {name: f"split(value, ' ')[{i}]" for i, name in enumerate(("relation", "source", "target"))}
    found = ids(scratch / "log.txt", format="text", select={**select, "timestamp": "'2026-05-02'"})
    assert (found["accepted"], len(found["malformed_line"])) == (["u"], 1)
    pq.write_table(table(source=pa.array([b"caf\xe9", b"u"], pa.binary())), scratch / "log.parquet")
    found = ids(scratch / "log.parquet", format="parquet")
    assert (found["accepted"], len(found["malformed_line"])) == (["u"], 1)


def test_one_bad_byte_does_not_end_the_build_with_an_encoding(ids: Reader, scratch: Path) -> None:
    (scratch / "log.csv").write_bytes(csv_of("caf\xe9", "u").encode("latin-1"))
    found = ids(scratch, options={"header": True, "encoding": "US-ASCII"})
    assert (found["accepted"], len(found["malformed_line"])) == (["u"], 1)


def test_an_encoding_of_two_bytes_in_a_compressed_file(ids: Reader, scratch: Path) -> None:
    (scratch / "log.csv.gz").write_bytes(gzip.compress(csv_of("é", "u").encode("utf-16")))
    assert ids(scratch, options={"header": True, "encoding": "UTF-16"}) == {"accepted": ["u", "é"]}


@pytest.mark.parametrize("encoding", ["UTF-9", "no encoding", ""])
def test_an_encoding_that_is_unknown(ids: Reader, scratch: Path, encoding: str) -> None:
    (scratch / "log.csv").write_text(csv_of("u"))
    with pytest.raises(
        ConfigError, match=rf"^logs\.events\.options\.encoding is '{encoding}', but must be an encoding"
    ):
        ids(scratch, options={"header": True, "encoding": encoding})


def test_a_header_in_another_encoding_is_named(ids: Reader, scratch: Path) -> None:
    (scratch / "log.csv").write_bytes(csv_of("u").encode("utf-16"))
    with pytest.raises(InputError, match=r"^logs\.events\.path: the first line of .*log\.csv is not text in UTF-8;"):
        ids(scratch)


def test_floating_point_ids(ids: Reader, scratch: Path) -> None:
    values = [12345001.0, float("nan"), None, 1.5, 2.0**53, 2.0**53 + 2, -3.0, float("inf")]
    pq.write_table(table(source=pa.array(values, pa.float64())), scratch / "a.parquet")
    found = ids(scratch / "a.parquet", format="parquet")
    assert found["accepted"] == ["-3", "12345001", "9007199254740992"]
    assert len(found["missing_source_id"]) == 2
    assert len(found["inexact_source_id"]) == 3
    pq.write_table(table(source=pa.array([16777216.0, 0.5], pa.float32())), scratch / "b.parquet")
    assert ids(scratch / "b.parquet", format="parquet")["accepted"] == ["16777216"]


def test_json_numbers_are_read_as_written(ids: Reader, scratch: Path) -> None:
    numbers = ["1e5", "123.0", "-0", "-0.0", "1.10", "1.1", "12345003.0", "18446744073709551617", "-7", '"1e5\\" 2.5"']
    rows = [
        f'{{"x":-Infinity,"action":"like","source" : {n},"target":"a 1.5","time":"2026-05-02T00:00:00.000Z"}}'
        for n in numbers
    ]
    (scratch / "log.json").write_text("\n".join(rows))
    expected = sorted([*numbers[:-1], '1e5" 2.5'])
    assert ids(scratch / "log.json", format="json") == {"accepted": expected}


@pytest.mark.parametrize("multiline", [False, True])
@pytest.mark.parametrize("typed", [False, True])
def test_numbers_of_json_that_are_none(ids: Reader, scratch: Path, multiline: bool, typed: bool) -> None:
    values = ["NaN", "Infinity", "-Infinity", '"NaN"', '"u"']
    rows = [f'{{"action":"like","source":{value},"target":"i","time":"2026-05-02","n":1}}' for value in values]
    (scratch / "log.json").write_text("[" + ",".join(rows) + "]" if multiline else "\n".join(rows))
    columns = "action STRING, source STRING, target STRING, time STRING, n INT" if typed else None
    found = ids(scratch / "log.json", format="json", options={"multiLine": multiline}, columns=columns)
    assert found["accepted"] == ["NaN", "u"]
    assert found["missing_source_id"] == [None]
    assert len(found["inexact_source_id"]) == 2


def test_leading_zeros_of_json_numbers_stay(ids: Reader, scratch: Path) -> None:
    (scratch / "log.json").write_text('{"action":"like","source":007,"target":"i","time":"2026-05-02"}')
    assert ids(scratch / "log.json", format="json", options={"allowNumericLeadingZeros": True}) == {"accepted": ["007"]}


def test_a_key_that_a_json_row_has_twice_is_named(ids: Reader, scratch: Path) -> None:
    (scratch / "log.json").write_text('{"action":"like","source":"a","source":"b","target":"i","time":"2026-05-02"}')
    with pytest.raises(
        InputError, match=r"`source` already exists.*; a row names it twice, so logs\.events\.columns is"
    ):
        ids(scratch / "log.json", format="json")


def test_a_long_json_line_does_not_overflow(ids: Reader, scratch: Path) -> None:
    text = json.dumps({"action": "like", "source": 1.5, "x": '\\"1' * 100_000, "target": "i", "time": "2026-05-02"})
    (scratch / "log.json").write_text(text)
    assert ids(scratch / "log.json", format="json") == {"accepted": ["1.5"]}


def test_folder_values_are_text(ids: Reader, scratch: Path) -> None:
    for shop in ("007", "7", "1e3", "a%3Ab", "x y+z"):
        (scratch / f"shop={shop}").mkdir()
        (scratch / f"shop={shop}" / "a.csv").write_text("action,target,time\nlike,i,2026-05-02\n")
    expected = {"accepted": ["007", "1e3", "7", "a:b", "x y+z"]}
    for path in (scratch, f"{scratch}/shop=*", f"{scratch}/*/a.csv"):
        assert ids(path, select={**SELECT, "source": "shop"}) == expected


@pytest.mark.parametrize("file_format", ["csv", "json", "parquet"])
def test_all_folders_are_read_and_hidden_and_empty_files_are_not(ids: Reader, scratch: Path, file_format: str) -> None:
    for number, folder in enumerate((".", "a", "a/b", "a/_b", "[c] {d}")):
        (scratch / folder).mkdir(parents=True, exist_ok=True)
        rows = table(source=[f"u{number}"])
        file = scratch / folder / f"x{number}.{file_format}"
        if file_format == "parquet":
            pq.write_table(rows, file)
        elif file_format == "json":
            file.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))
        else:
            file.write_text(csv_of(f"u{number}"))
    (scratch / f"empty.{file_format}").touch()
    assert ids(scratch, format=file_format) == {"accepted": ["u0", "u1", "u2", "u4"]}
    assert ids(f"{scratch}/**/x*", format=file_format) == {"accepted": ["u0", "u1", "u2", "u4"]}
    assert ids(f"{scratch}/[c] {{d}}/x4.{file_format}", format=file_format) == {"accepted": ["u4"]}
    assert ids(f"{scratch}/a/_b", format=file_format) == {"accepted": ["u3"]}
    assert ids(f"{scratch}/empty.{file_format}", format=file_format) == {}


def test_a_file_whose_name_spark_does_not_read_is_read(ids: Reader, scratch: Path) -> None:
    for name in ("_x.csv", ".y.csv", "2026-05-01T10:00:00 a[b]{c}*?.csv"):
        (scratch / name).write_text(csv_of("u"))
        assert ids(scratch / name) == {"accepted": ["u"]}


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_name_that_is_not_utf_8_is_read(ids: Reader, scratch: Path, file_format: str) -> None:
    name = os.fsencode(scratch) + b"/caf\xe9." + file_format.encode()
    if file_format == "parquet":
        pq.write_table(table(source=["u"]), scratch / "a")
    else:
        (scratch / "a").write_text(csv_of("u"))
    os.rename(scratch / "a", name)  # noqa: PTH104
    assert ids(scratch, format=file_format) == {"accepted": ["u"]}


def test_a_base_path_is_expanded(ids: Reader, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(scratch))
    (scratch / "dt=1").mkdir()
    (scratch / "dt=1" / "a.csv").write_text(csv_of("u"))
    options = {"header": True, "basePath": "~"}
    assert ids("~/dt=1", options=options, select={**SELECT, "source": "dt"}) == {"accepted": ["1"]}


def test_parquet_files_of_several_types(ids: Reader, scratch: Path) -> None:
    types: list[tuple[str, Any]] = [("a", pa.int32()), ("b", pa.int64()), ("c", pa.int16())]
    for number, (name, data_type) in enumerate(types):
        pq.write_table(table(source=pa.array([number], data_type)), scratch / f"{name}.parquet")
    assert ids(scratch, format="parquet") == {"accepted": ["0", "1", "2"]}
    pq.write_table(table(source=["007"], extra=["x"]), scratch / "d.parquet")
    with pytest.raises(ConfigError, match=r"select\.source is 'source', but column source is .* in .*a\.parquet and"):
        ids(scratch, format="parquet")
    assert ids(scratch, format="parquet", select={**SELECT, "source": "target"}) == {"accepted": ["i"] * 4}
    columns = "action STRING, source STRING, target STRING, time STRING, extra STRING"
    assert ids(scratch, format="parquet", columns=columns) == {"accepted": ["0", "007", "1", "2"]}
    found = ids(scratch, format="parquet", columns=columns.replace("extra STRING", "extra INT"))
    assert found == {"accepted": ["0", "1", "2"], "malformed_line": ["007"]}
    with pytest.raises(ConfigError, match=r"^logs\.events\.columns is .*, but must have types that .* cast"):
        ids(scratch, format="parquet", columns=columns.replace("source STRING", "source DATE"))


def test_columns_that_differ_only_by_case(ids: Reader, scratch: Path) -> None:
    pq.write_table(table(source=["u1"]), scratch / "a.parquet")
    pq.write_table(table(Source=["u2"]), scratch / "b.parquet")
    assert ids(scratch, format="parquet") == {"accepted": ["u1", "u2"]}
    assert ids(scratch, format="parquet", columns="Action STRING, SOURCE STRING, target STRING, time STRING") == {
        "accepted": ["u1", "u2"]
    }
    pq.write_table(table(source=["u3"], x=[1], X=[2]), scratch / "a.parquet")
    (scratch / "log.json").write_text('{"action":"like","source":"u","target":"i","time":"2026-05-02","x":1,"X":2}')
    (scratch / "whole.json").write_text(f"[{(scratch / 'log.json').read_text()}]")
    select = {**SELECT, "source": "X"}
    message = (
        r"select\.source is 'X', but the columns (x and X|X and x) differ only by case; name one of them in columns"
    )
    for path, file_format, options in (
        ("a.parquet", "parquet", {}),
        ("log.json", "json", {}),
        ("whole.json", "json", {"multiLine": True}),
    ):
        assert len(ids(scratch / path, format=file_format, options=options)["accepted"]) == 1
        with pytest.raises(ConfigError, match=message):
            ids(scratch / path, format=file_format, options=options, select=select)
    columns = "action STRING, X STRING, target STRING, time STRING"
    assert ids(scratch / "log.json", format="json", select=select, columns=columns) == {"accepted": ["2"]}


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
def test_parquet_timestamps(ids: Reader, scratch: Path, unit: str) -> None:
    rows = table(source=["u"], unused=pa.array([DAY], pa.timestamp(unit)))
    rows = rows.set_column(rows.column_names.index("time"), "time", pa.array([DAY], pa.timestamp(unit, "UTC")))
    pq.write_table(rows, scratch / "log.parquet")
    assert ids(scratch, format="parquet") == {"accepted": ["u"]}


def test_a_type_that_spark_does_not_have_matters_only_if_it_is_used(ids: Reader, scratch: Path) -> None:
    pq.write_table(table(source=["u"], odd=pa.array([1], pa.time64("ns"))), scratch / "log.parquet")
    assert ids(scratch, format="parquet") == {"accepted": ["u"]}


@pytest.mark.parametrize("file_format", ["csv", "json", "parquet", "delta"])
@pytest.mark.parametrize("multiline", [False, True])
def test_columns_with_dots_and_spaces(
    ids: Reader, spark: SparkSession, scratch: Path, file_format: str, multiline: bool
) -> None:
    rows = table(**{"user.id": ["u"], "the item": ["i"], "a`b": ["x"]})
    if file_format == "delta":
        rows = rows.rename_columns(["action", "target", "time", "user.id", "the_item", "ab"])
        properties = {"delta.columnMapping.mode": "name"}
        frame = spark.createDataFrame(rows.to_pandas())
        frame.write.format("delta").options(**properties).save(str(scratch / "log"))
    elif file_format == "parquet":
        pq.write_table(rows, scratch / "log")
    elif file_format == "json":
        (scratch / "log").write_text(json.dumps(rows.to_pylist()[0]))
    else:
        (scratch / "log").write_text("action,target,time,user.id,the item,a`b\nlike,i,2026-05-02,u,i,x\n")
    options = {"header": True} if file_format == "csv" else {}
    options |= {"multiLine": True} if multiline and file_format in ("csv", "json") else {}
    found = ids(scratch / "log", format=file_format, options=options, select={**SELECT, "source": "`user.id`"})
    assert found == {"accepted": ["u"]}


@pytest.mark.parametrize(
    "header",
    [
        '"action","source","target","time"',
        "Action,SOURCE,Target,Time",
        "action, source, target, time",
        "\ufeffaction,source,target,time",
    ],
)
@pytest.mark.parametrize("columns", [None, "action STRING, source STRING, target STRING, time DATE"])
def test_headers_are_compared_by_name(ids: Reader, scratch: Path, header: str, columns: str | None) -> None:
    (scratch / "a.csv").write_text(csv_of("u1"))
    (scratch / "b.csv").write_text(csv_of("u2").replace(HEADER.strip(), header))
    assert ids(scratch, columns=columns) == {"accepted": ["u1", "u2"]}


@pytest.mark.parametrize("multiline", [False, True])
@pytest.mark.parametrize("columns", [None, "time DATE, action STRING, target STRING, source STRING"])
def test_columns_are_found_by_the_names_of_each_header(
    ids: Reader, scratch: Path, multiline: bool, columns: str | None
) -> None:
    (scratch / "a.csv").write_text(csv_of("u1"))
    (scratch / "b.csv").write_text('"target", Source,time,action\ni,u2,2026-05-02,like\n')
    (scratch / "c.csv").write_text("\n\n\ufefftime,action,source,target\n2026-05-02,like,u3,i\n\n")
    (scratch / "d.csv").write_text("\n")
    assert ids(scratch, columns=columns, options={"header": True, "multiLine": multiline}) == {
        "accepted": ["u1", "u2", "u3"]
    }


@pytest.mark.parametrize("columns", [None, "action STRING, source STRING, target STRING, time DATE"])
def test_a_column_that_a_file_does_not_have_is_null_there(ids: Reader, scratch: Path, columns: str | None) -> None:
    (scratch / "a.csv").write_text(csv_of("u1"))
    (scratch / "b.csv").write_text("sep=,\naction,source,user,target,time\nlike,,u2,i,2026-05-02\n")
    (scratch / "c.csv").write_text("action,user,target,time\nlike,u3,i,2026-05-02\n")
    assert ids(scratch, columns=columns, select={**SELECT, "source": "coalesce(user, source)"}) == {
        "accepted": ["u1", "u2", "u3"]
    }


def test_columns_of_other_names_than_the_header_stand_for_its_columns_by_position(ids: Reader, scratch: Path) -> None:
    (scratch / "a.csv").write_text("was,wer,was noch,wann\nlike,u1,i,2026-05-02\n")
    (scratch / "b.csv").write_text("wer,was,was noch,wann\nu2,like,i,2026-05-02\n")
    assert ids(scratch, columns="action STRING, source STRING, target STRING, time STRING") == {
        "accepted": ["u1", "u2"]
    }
    assert ids(scratch, columns="wann DATE, wer STRING", select=GERMAN) == {"accepted": ["u1", "u2"]}
    with pytest.raises(InputError, match=r"^logs\.events\.columns names .* but the header names .* has another place"):
        ids(scratch, columns="action STRING, source STRING, wer STRING, time STRING")


def test_names_that_differ_by_spaces_alone_are_columns_of_their_own(ids: Reader, scratch: Path) -> None:
    (scratch / "a.csv").write_text("action,source, source,target,time\nlike,u1,x,i,2026-05-02\n")
    assert ids(scratch) == {"accepted": ["u1"]}
    assert ids(scratch, select={**SELECT, "source": "` source`"}) == {"accepted": ["x"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(csv_of("u").encode(), mtime=0), "is gzip, and Spark goes by the name: let it end in .gz"),
        (b"PK\x03\x04\x00\x08\n\x01", "is a ZIP archive, which Spark does not read: unpack it"),
        (b"PAR1\x15\x04\n", "is Parquet: set format: parquet"),
    ],
)
def test_a_file_of_another_format_is_named(ids: Reader, scratch: Path, content: bytes, message: str) -> None:
    (scratch / "log.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"^logs\.events\.path: {scratch}/log\.csv {message}$"):
        ids(scratch)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_header_with_another_separator_is_one_line(ids: Reader, scratch: Path, separator: str) -> None:
    (scratch / "log.csv").write_text(csv_of("u").replace(",", separator))
    with pytest.raises(ConfigError, match=r"^logs\.events\.options\.sep is ',', but the header is the one") as caught:
        ids(scratch)
    assert str(caught.value).endswith(f"set options.sep: {separator!r}")


def test_a_first_line_that_is_long_is_read_whole(ids: Reader, scratch: Path) -> None:
    header = HEADER.strip() + "," + "x" * 200_000
    (scratch / "log.csv").write_text(f"\n{' ' * 70_000}\n{header}\nlike,u,i,2026-05-02,\n")
    assert ids(scratch) == {"accepted": ["u"]}


def test_a_damaged_file_among_others_is_named(ids: Reader, scratch: Path) -> None:
    pq.write_table(table(source=["u"]), scratch / "a.parquet")
    (scratch / "b.parquet").write_bytes(b"PAR1 no footer")
    with pytest.raises(InputError, match=r"b\.parquet is not a Parquet file"):
        ids(scratch, format="parquet")
    whole = gzip.compress(csv_of(*[f"u{number}" for number in range(1000)]).encode())
    (scratch / "c.csv.gz").write_bytes(whole)
    (scratch / "d.csv.gz").write_bytes(whole[:-30])
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of several classes, all of which one_line reads
        ids(f"{scratch}/*.csv.gz")
    assert str(scratch / "d.csv.gz") in one_line(caught.value)


@pytest.mark.parametrize("file_format", ["csv", "json", "text"])
def test_a_file_that_is_not_bzip2_though_its_name_says_so(ids: Reader, scratch: Path, file_format: str) -> None:
    (scratch / f"a.{file_format}.bz2").write_bytes(bz2.compress(b""))
    (scratch / f"b.{file_format}.bz2").write_bytes(b"BZh9" + random.Random(0).randbytes(300))
    with pytest.raises(InputError, match=rf"/b\.{file_format}\.bz2 is not a bzip2 file, though its name ends in \.bz2"):
        ids(scratch, format=file_format)


def test_random_bytes_are_rows_or_rejected_rows(judge_log: JudgeLog) -> None:
    draw = random.Random(0)
    lines = [
        bytes(draw.choices(range(1, 256), k=draw.randint(1, 60))).replace(b"\n", b"").replace(b"\r", b"")
        for _ in range(200)
    ]
    lines = [line for line in lines if line.strip(b" ")]
    for name in ("log.json", "log.csv"):
        content = (HEADER.encode() if name.endswith("csv") else b"") + b"\n".join(lines) + b"\n"
        judged = judge_log(content, name).where("outcome <> 'header'")
        assert judged.count() == len(lines)
        assert accepted(judged) == []
