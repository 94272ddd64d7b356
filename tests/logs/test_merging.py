"""Merging of tables whose columns have several types."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyspark.sql import types as T

from tests.support.configs import SELECT
from tests.support.log_files import Reader, table
from twhin_spark.errors import ConfigError
from twhin_spark.logs.merging import common_type

INT, LONG, TEXT = T.IntegerType(), T.LongType(), T.StringType()
COLUMNS = "action STRING, source STRING, target STRING, time STRING"


def struct(**fields: T.DataType) -> T.StructType:
    return T.StructType([T.StructField(name, data_type) for name, data_type in fields.items()])


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([INT, LONG, T.NullType()], LONG),
        ([INT, T.DecimalType(20, 0)], T.DecimalType(38, 0)),
        ([INT, T.DecimalType(20, 1)], None),
        ([LONG, T.DoubleType()], None),
        ([TEXT, T.BinaryType()], TEXT),
        ([TEXT, LONG], None),
        ([T.ArrayType(INT), T.ArrayType(LONG)], T.ArrayType(LONG)),
        ([T.ArrayType(INT), LONG], None),
        ([T.MapType(TEXT, INT), T.MapType(TEXT, LONG)], T.MapType(TEXT, LONG)),
        ([struct(a=INT, b=TEXT), struct(B=TEXT, c=INT, a=LONG)], struct(a=LONG, b=TEXT, c=INT)),
        ([struct(a=INT), struct(a=TEXT)], None),
    ],
)
def test_the_type_that_holds_all_values(types: list[T.DataType], expected: T.DataType | None) -> None:
    assert common_type(types) == expected


@pytest.mark.parametrize("columns", [None, f"{COLUMNS}, event STRUCT<from: STRING, to: STRING>"])
def test_fields_of_structs_are_found_by_name(ids: Reader, scratch: Path, columns: str | None) -> None:
    rows: dict[str, list[tuple[str, str]]] = {
        "a": [("from", "u1"), ("to", "i")],
        "b": [("to", "i"), ("from", "u2")],
        "c": [("extra", "x"), ("from", "u3"), ("to", "i")],
    }
    for name, fields in rows.items():
        event = pa.StructArray.from_arrays([pa.array([value]) for _, value in fields], [name for name, _ in fields])
        pq.write_table(table(source=["x"], event=event), scratch / f"{name}.parquet")
    select = {**SELECT, "source": "event.from", "target": "event.to"}
    assert ids(scratch, format="parquet", columns=columns, select=select) == {"accepted": ["u1", "u2", "u3"]}


def test_unsigned_integers_and_those_of_other_widths(ids: Reader, scratch: Path) -> None:
    arrays = [pa.array([2**64 - 1], pa.uint64()), pa.array([7], pa.int8()), pa.array([8], pa.uint32())]
    for number, ids_of_file in enumerate(arrays):
        pq.write_table(table(source=ids_of_file), scratch / f"{number}.parquet")
    assert ids(scratch, format="parquet") == {"accepted": ["18446744073709551615", "7", "8"]}


def test_floating_point_numbers_become_text_as_ids_do(ids: Reader, scratch: Path) -> None:
    values = [12345001.0, float("nan"), 7.0, 0.5, None]
    pq.write_table(table(source=pa.array(values, pa.float64())), scratch / "a.parquet")
    assert ids(scratch, format="parquet", columns=COLUMNS) == {
        "accepted": ["0.5", "12345001", "7"],
        "missing_source_id": [None, None],
    }


def test_uuids_are_text(ids: Reader, scratch: Path) -> None:
    wanted = uuid.UUID("6af613b6-569c-5c22-9c37-2ed93f31d3af")
    stored = pa.array([wanted.bytes], pa.binary(16))
    pq.write_table(table(source=pa.ExtensionArray.from_storage(pa.uuid(), stored)), scratch / "a.parquet")
    assert ids(scratch, format="parquet") == {"accepted": [str(wanted)]}


def test_every_type_beside_one_that_spark_does_not_have(ids: Reader, scratch: Path) -> None:
    day = datetime(2026, 5, 2, tzinfo=UTC)
    rows = table(
        source=pa.array(["u"], pa.string_view()),
        odd=pa.array([time(1)], pa.time64("us")),
        at=pa.array([day], pa.timestamp("ns", "UTC")),
        a=pa.array([None], pa.null()),
        b=pa.array([2**63], pa.uint64()),
        c=pa.array(["x"]).dictionary_encode(),
        d=pa.array([{"t": day}], pa.struct([("t", pa.timestamp("ns"))])),
        e=pa.array([Decimal("1.50")]),
    )
    pq.write_table(rows, scratch / "a.parquet")
    select = {**SELECT, "source": "concat(source, b, c, e)", "timestamp": "at"}
    assert ids(scratch, format="parquet", select=select) == {"accepted": ["u9223372036854775808x1.50"]}


def test_timestamps_of_the_old_type_int96(ids: Reader, scratch: Path) -> None:
    at = pa.array([datetime(2026, 5, 2, tzinfo=UTC)], pa.timestamp("ns"))
    pq.write_table(table(source=["u"], at=at), scratch / "a.parquet", use_deprecated_int96_timestamps=True)
    assert ids(scratch, format="parquet", select={**SELECT, "timestamp": "at"}) == {"accepted": ["u"]}


@pytest.mark.parametrize("other", [pa.array([1.0]), pa.array(["1"])])
def test_delta_tables_of_other_types_are_refused(ids: Reader, scratch: Path, other: pa.Array) -> None:
    for name, source in {"a": pa.array([2**53 + 1]), "b": other}.items():
        write_deltalake(str(scratch / name), table(source=source))
    paths: Any = [str(scratch / name) for name in ("a", "b")]
    with pytest.raises(ConfigError, match=r"select\.source is 'source', but column source is bigint in .*/a and"):
        ids(paths, format="delta")
