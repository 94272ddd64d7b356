"""Columns that the names of folders give, beside those of the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.support.configs import SELECT, small_config
from tests.support.log_files import Reader, table
from twhin_spark.logs.reader import read_log

SHOP = {**SELECT, "source": "shop"}


def write(folder: Path, file_format: str, **columns: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = table(**columns)
    if file_format == "parquet":
        pq.write_table(rows, folder / "a.parquet")
    elif file_format == "json":
        (folder / "a.json").write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))
    else:
        lines = [",".join(rows.column_names), *(",".join(row.values()) for row in rows.to_pylist())]
        (folder / "a.csv").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("file_format", "options", "folder"),
    [
        ("csv", {}, "shop=A"),
        ("csv", {"multiLine": True}, "SHOP=A"),
        ("json", {}, "SHOP=A"),
        ("json", {"multiLine": True}, "shop=A"),
        ("parquet", {}, "shop=A"),
        ("parquet", {}, "SHOP=A"),
    ],
)
def test_a_column_of_the_files_is_not_replaced(
    ids: Reader, spark: SparkSession, scratch: Path, file_format: str, options: dict[str, Any], folder: str
) -> None:
    write(scratch / folder, file_format, shop=["own"])
    options = {**options, "header": True} if file_format == "csv" else {} if file_format == "parquet" else options
    log = {"path": str(scratch), "format": file_format, "options": options, "select": SHOP}
    assert ids(scratch, **{name: value for name, value in log.items() if name != "path"}) == {"accepted": ["own"]}
    raw = read_log(spark, "events", small_config(logs={"events": log}).logs["events"])
    assert raw.files.shadowed == (folder[:4],)


@pytest.mark.parametrize("file_format", ["json", "parquet"])
def test_a_column_that_only_columns_names_is_that_of_the_folder(ids: Reader, scratch: Path, file_format: str) -> None:
    write(scratch / "shop=007", file_format, source=["u"])
    columns = "action STRING, target STRING, time STRING, shop STRING"
    assert ids(scratch, format=file_format, columns=columns, select=SHOP) == {"accepted": ["007"]}


def test_names_that_differ_by_case_are_one_column(ids: Reader, scratch: Path) -> None:
    write(scratch / "shop=A", "csv", n=["1"])
    write(scratch / "Shop=B", "csv", n=["2"])
    assert ids(scratch, select=SHOP) == {"accepted": ["A", "B"]}


def test_signs_that_are_no_utf_8_stay_as_they_are_written(ids: Reader, scratch: Path) -> None:
    for shop in ("%E8", "%E9", "100%", "%C3%A9"):
        write(scratch / f"shop={shop}", "csv", n=["1"])
    assert ids(scratch, select=SHOP) == {"accepted": ["%E8", "%E9", "100%", "é"]}


def test_columns_with_the_names_that_the_reader_uses(ids: Reader, scratch: Path) -> None:
    write(scratch / "shop=A", "parquet", source=["u"], _metadata=["m"], __file=["f"], __raw=["r"], kept=["k"])
    select = {**SELECT, "source": "concat(shop, _metadata, __file, __raw, kept)"}
    assert ids(scratch, format="parquet", select=select) == {"accepted": ["Amfrk"]}
