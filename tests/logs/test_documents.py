"""Splitting of whole files into the rows of CSV and JSON: every row by itself, and nothing lost."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.configs import SELECT, JudgeLog, accepted
from tests.support.log_files import HEADER, Reader, csv_of
from twhin_spark.logs.documents import CsvForm, json_documents

MULTILINE = {"header": True, "multiLine": True}


def documents(text: str, **options: bool) -> list[str]:
    return [document.decode() for document in json_documents(text.encode(), **options)]


def records(text: str, **form: Any) -> list[str]:
    return [record.decode() for record in CsvForm(**form).records(text.encode())]


def like(source: str) -> str:
    return json.dumps({"action": "like", "source": source, "target": "i", "time": "2026-05-02"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n", []),
        ("[]", []),
        ('[{"a":\n1}, {"b": [1, {}]}]', ['{"a":\n1}', '{"b": [1, {}]}']),
        ('\ufeff{"a": 1}\n{"b": 2}{"c": 3}', ['{"a": 1}', '{"b": 2}', '{"c": 3}']),
        ('[{"a": 1}]\n[{"b": 2}]', ['{"a": 1}', '{"b": 2}']),
        ('[1, null, "a,b", [2], {}]x', ["1", "null", '"a,b"', "[2]", "{}", "x"]),
        ('{"a": "}\\"{"} {"b": 1}', ['{"a": "}\\"{"}', '{"b": 1}']),
        ("{'a': '}'} 5", ["{'a': '}'}", "5"]),
        ('[{"a": 1}, {"b": 2}, {"c', ['{"a": 1}', '{"b": 2}', '{"c']),
        ('[{"a": 1},', ['{"a": 1}', "["]),
        ('[{"a": [1}, {"b": 2}]', ['{"a": [1}', '{"b": 2}']),
        ('}{"a": 1}', ["}", '{"a": 1}']),
    ],
)
def test_json_documents(text: str, expected: list[str]) -> None:
    assert documents(text) == expected


def test_json_comments_and_quotes_as_the_options_say() -> None:
    assert documents('[{"a": 1 /* } */}, // ]\n{"b": 2}]', comments=True) == ['{"a": 1 /* } */}', '// ]\n{"b": 2}']
    assert documents("[it's, 5]", single_quotes=False) == ["it's", "5"]


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ('a,b\n"x\ny",z\r\nq,"w""e\r\nr"\r1,2', {}, ["a,b", '"x\ny",z', 'q,"w""e\r\nr"', "1,2"]),
        ('a,"b\nc,d\ne,f', {}, ['a,"b', "c,d", "e,f"]),
        ('a,"n\nb,"x"\nc,"y\nz" ,k', {}, ['a,"n', 'b,"x"', 'c,"y\nz" ,k']),
        ('a"b,c\n"a"b,"d\ne"', {}, ['a"b,c', '"a"b,"d\ne"']),
        ('"a\\"\nb",c\n"d\\\\",e', {"escape": "\\"}, ['"a\\"\nb",c', '"d\\\\",e']),
        ('a||"b||\n"||c\nd||e', {"separator": "||"}, ['a||"b||\n"||c', "d||e"]),
        ('a;"b;";c\nd', {"line_end": ";"}, ["a", '"b;"', "c\nd"]),
        ('# "c\na,"b"', {"comment": "#"}, ['# "c', 'a,"b"']),
        ("'a\nb',\"c\n", {"quote": "'"}, ["'a\nb',\"c", ""]),
        ('a,"b\nc"', {"quote": ""}, ['a,"b', 'c"']),
        ('a, "b\nc"', {"skips_spaces": True}, ['a, "b\nc"']),
    ],
)
def test_csv_records(text: str, form: dict[str, Any], expected: list[str]) -> None:
    assert records(text, **form) == expected


@pytest.mark.parametrize("seed", range(20))
def test_what_a_writer_writes_is_split_as_it_was(seed: int) -> None:
    draw = random.Random(seed)
    fields = [["".join(draw.choices('a,"\n\r\\', k=draw.randint(0, 6))) for _ in range(3)] for _ in range(50)]
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=draw.choice(["\n", "\r\n"])).writerows(fields)
    found = [next(csv.reader(io.StringIO(row, newline=""))) for row in records(out.getvalue()) if row]
    assert found == fields
    values = [{"".join(row): row} for row in fields]
    for text in (json.dumps(values, indent=2), "\n".join(json.dumps(value, indent=1) for value in values)):
        assert [json.loads(document) for document in documents(text)] == values


def test_documents_one_after_the_other_and_the_numbers_in_them(ids: Reader, scratch: Path) -> None:
    """Spark reads the first document of a file alone, and does not tell an unquoted NaN from the text."""
    numbers = "\n".join(like("?").replace('"?"', number) for number in ("1e5", "1.10", "NaN", '"NaN"', "-Infinity"))
    (scratch / "a.json").write_text(f"[{like('u1')},\n5, {like('u2')}]\n{numbers}\n[{like('u3')}, {{cut")
    assert ids(scratch, format="json", options={"multiLine": True}) == {
        "accepted": ["1.10", "1e5", "NaN", "u1", "u2", "u3"],
        "inexact_source_id": ['"-Infinity"'],
        "malformed_line": [None, None],
        "missing_source_id": [None],
    }


def test_a_quote_that_is_never_closed_takes_no_other_row_with_it(ids: Reader, scratch: Path) -> None:
    lines = [f"like,u{number},i,2026-05-02,x\n" for number in range(5)]
    lines[2] = 'like,u2,i,2026-05-02,"open\n'
    (scratch / "a.csv").write_text(HEADER.replace("\n", ",note\n") + "".join(lines))
    assert ids(scratch, options=MULTILINE) == {"accepted": ["u0", "u1", "u3", "u4"], "malformed_line": ["u2"]}


def test_line_ends_of_several_kinds(ids: Reader, scratch: Path) -> None:
    (scratch / "a.csv").write_bytes((csv_of("a") + 'like,"b\r\nc",i,2026-05-02\rlike,d,i,2026-05-02\r\n').encode())
    assert ids(scratch, options=MULTILINE) == {"accepted": ["a", "b\r\nc", "d"]}


@pytest.mark.parametrize("multiline", [False, True])
def test_a_row_with_more_fields_than_spark_has_room_for(ids: Reader, scratch: Path, multiline: bool) -> None:
    row = f"like,u2,i,2026-05-02{',' * 30_000}\n"
    (scratch / "a.csv").write_text(csv_of("u1") + row + row.replace(",,", "," * 100) + csv_of("u3")[len(HEADER) :])
    found = ids(scratch, options={"header": True, "multiLine": multiline})
    assert (found["accepted"], len(found["malformed_line"])) == (["u1", "u3"], 2)


@pytest.mark.slow
def test_a_header_with_more_columns_than_spark_has_room_for(ids: Reader, scratch: Path) -> None:
    more = 21_000
    names = ",".join(f"c{number}" for number in range(more))
    (scratch / "a.csv").write_text(f"{HEADER.strip()},{names}\nlike,u,i,2026-05-02{',' * more}\n")
    assert ids(scratch) == {"accepted": ["u"]}


@pytest.mark.parametrize("separator", ["\\t", "\\u0001", "\\\\", "||"])
def test_separators(ids: Reader, scratch: Path, separator: str) -> None:
    written = {"\\t": "\t", "\\u0001": "\x01", "\\\\": "\\"}.get(separator, separator)
    (scratch / "a.csv").write_text(csv_of("u").replace(",", written))
    assert ids(scratch, options={"header": True, "sep": separator}) == {"accepted": ["u"]}


def test_json_in_single_quotes_and_with_comments(ids: Reader, scratch: Path) -> None:
    rows = [
        like("1.10 it").replace('"', "'"),
        f"/* 1.5 */ {like('b')} // it's 2.5",
        like("c").replace("}", ", n1: 1.50}"),
    ]
    (scratch / "a.json").write_text("\n".join(rows))
    options = {"allowComments": True, "allowUnquotedFieldNames": True}
    assert ids(scratch, format="json", options=options) == {"accepted": ["1.10 it", "b", "c"]}


@pytest.mark.parametrize("multiline", [False, True])
def test_half_a_surrogate_pair_is_no_id(ids: Reader, scratch: Path, multiline: bool) -> None:
    escapes = [r"u\ud800", r"u\uDBFF?", r"\udc00", r"\ud83d\ude00", r"\\ud800?", "?"]
    (scratch / "a.json").write_text("\n".join(like("x").replace("x", escape) for escape in escapes))
    found = ids(scratch, format="json", options={"multiLine": multiline})
    assert found["accepted"] == ["?", "\\ud800?", "😀"]
    assert len(found["inexact_source_id"]) == 3


def test_random_documents_are_rows_or_rejected_rows(judge_log: JudgeLog) -> None:
    draw = random.Random(0)
    text = "".join(draw.choices('{}[],:"\\ \n1e.x', k=2000))
    judged = judge_log(f"[{like('u')}]{text}", "log.json", options={"multiLine": True}, select=SELECT)
    assert judged.count() == len(list(json_documents(f"[{like('u')}]{text}".encode())))
    assert [row["source_id"] for row in accepted(judged)] == ["u"]
