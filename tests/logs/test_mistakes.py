"""Mistakes in the config of a log that Spark would pass over in silence, or explain with riddles."""

from __future__ import annotations

import gzip
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from tests.support.configs import SELECT
from tests.support.log_files import Reader, csv_of, table
from twhin_spark.errors import ConfigError, InputError, TwhinError

JSON = '{"action":"like","source":"u","target":"i","time":"2026-05-02"}\n'


@pytest.mark.parametrize("path", ["log", "log/*.parquet", "log/dt=1", "."])
def test_files_of_a_delta_table_are_not_read_as_parquet(ids: Reader, scratch: Path, path: str) -> None:
    """They hold rows that have been deleted, too."""
    for source in ("u1", "u2"):
        rows = table(source=[source], dt=["1"])
        write_deltalake(str(scratch / "log"), rows, mode="overwrite", partition_by=["dt"] if "dt" in path else None)
    with pytest.raises(InputError, match=r"^logs\.events\.path: .*/log is a Delta table, whose .*format: delta, and"):
        ids(scratch / path, format="parquet")
    assert ids(scratch / "log", format="delta") == {"accepted": ["u2"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ";"}, r"options\.separator is no option of Spark's reader for csv"),
        (
            {"nullValues": "NA"},
            r"options\.nullValues is no option .* for csv \(did you mean 'nullValue'\?\); remove it",
        ),
    ],
)
def test_an_option_that_spark_does_not_know(ids: Reader, scratch: Path, options: dict[str, Any], message: str) -> None:
    (scratch / "a.csv").write_text(csv_of("u"))
    with pytest.raises(ConfigError, match=rf"^logs\.events\.{message}"):
        ids(scratch, options={"header": True, **options})


def test_options_of_file_systems_and_limits_pass(ids: Reader, scratch: Path) -> None:
    (scratch / "a.csv").write_text(csv_of("u" * 50))
    options = {"header": True, "fs.s3a.endpoint": "x", "maxColumns": "2", "maxCharsPerColumn": "5"}
    assert ids(scratch, options=options) == {"accepted": ["u" * 50]}


def test_a_header_that_is_read_as_a_row_is_named(ids: Reader, scratch: Path) -> None:
    (scratch / "a.csv").write_text(csv_of("u"))
    with pytest.raises(ConfigError, match=r"^logs\.events\.options\.header is not set, but the first line is 'action,"):
        ids(scratch, options={})


def test_a_name_that_a_header_has_twice_is_named(ids: Reader, scratch: Path) -> None:
    (scratch / "a.csv").write_text("action,source,Source,target,time\nlike,u,v,i,2026-05-02\n")
    with pytest.raises(ConfigError, match="no column `source`, but source1 and Source2: the header names it more than"):
        ids(scratch)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("action STRING, source STRING, Source INT", "must name 'source' once"),
        ("action STRING, source VARCHAR(3)", "gives 'source' a length; text of any length is STRING"),
    ],
)
def test_columns_that_spark_refuses(ids: Reader, scratch: Path, columns: str, message: str) -> None:
    (scratch / "a.csv").write_text(csv_of("u"))
    with pytest.raises(ConfigError, match=rf"^logs\.events\.columns .*{message}"):
        ids(scratch, columns=columns)


def test_a_column_that_a_parquet_file_has_twice(ids: Reader, scratch: Path) -> None:
    arrays = [pa.array([value]) for value in ("like", "u", "v", "i", "2026-05-02")]
    pq.write_table(
        pa.Table.from_arrays(arrays, ["action", "source", "source", "target", "time"]), scratch / "a.parquet"
    )
    with pytest.raises(ConfigError, match="but there are 2 columns source; write the files with a name of its own"):
        ids(scratch, format="parquet")


@pytest.mark.parametrize("file_format", ["json", "text"])
def test_files_of_another_format_are_named(ids: Reader, scratch: Path, file_format: str) -> None:
    with zipfile.ZipFile(scratch / "zip", "w") as archive:
        archive.writestr("a.json", JSON)
    pq.write_table(table(source=["u"]), scratch / "parquet")
    (scratch / "xz").write_bytes(lzma.compress(JSON.encode()))
    (scratch / "gzip").write_bytes(gzip.compress(JSON.encode()))
    for name, message in {
        "zip": "a ZIP archive, which Spark does not read: unpack it",
        "parquet": "Parquet: set format: parquet",
        "xz": "xz, which Spark does not read: compress it with gzip or zstd, or unpack it",
        "gzip": "gzip, and Spark goes by the name: let it end in .gz",
    }.items():
        with pytest.raises(InputError, match=rf"^logs\.events\.path: .*/{name} is {message}$"):
            ids(scratch / name, format=file_format, select={**SELECT, "relation": "'like'"})


@pytest.mark.parametrize("name", ["a.csv.lz4", "a.csv.snappy"])
def test_files_that_hadoop_cannot_unpack(ids: Reader, scratch: Path, name: str) -> None:
    (scratch / name).write_bytes(b"\x04\x22\x4d\x18" + csv_of("u").encode())
    with pytest.raises(InputError, match=rf"^logs\.events\.path: .*{name} cannot be unpacked: .* gzip or zstd"):
        ids(scratch)


@pytest.mark.parametrize(("written", "declared"), [("utf-16-le", "UTF-16BE"), ("utf-16-be", "UTF-16LE")])
def test_bytes_in_the_other_order(ids: Reader, scratch: Path, written: str, declared: str) -> None:
    (scratch / "a.csv").write_bytes(csv_of("u").encode(written))
    with pytest.raises(TwhinError, match=rf"have the other order than options\.encoding, {declared}, gives them"):
        ids(scratch, options={"header": True, "encoding": declared})


@pytest.mark.parametrize("file_format", ["csv", "json"])
def test_zstandard_is_read_without_a_library_of_the_system(ids: Reader, scratch: Path, file_format: str) -> None:
    content = csv_of("u") if file_format == "csv" else JSON
    stream = pa.CompressedOutputStream(str(scratch / f"a.{file_format}.zst"), "zstd")
    stream.write(content.encode())
    stream.close()
    assert ids(scratch, format=file_format) == {"accepted": ["u"]}


@pytest.mark.parametrize(
    ("options", "why"), [({"multiLine": True}, "options.multiLine"), ({"encoding": "UTF-16"}, "the encoding UTF-16")]
)
def test_a_file_that_is_too_large_to_be_read_whole_is_named(
    ids: Reader, scratch: Path, options: dict[str, Any], why: str
) -> None:
    with (scratch / "log.csv").open("w") as file:
        file.truncate(3_000_000_000)  # takes no room
    with pytest.raises(InputError, match=rf"log\.csv has 3\.0 GB, but {why} asks to read files whole, .*: split it"):
        ids(scratch / "log.csv", options={"header": True, **options})
