"""Small files of logs for tests, and a reader that tells the ids of their sources by outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from tests.support.configs import SELECT, small_config
from twhin_spark.logs.expressions import check_expressions
from twhin_spark.logs.reader import read_log
from twhin_spark.logs.row_checks import check_rows

HEADER = "action,source,target,time\n"


class Reader:
    """Reads logs of files that a test has written, and returns the ids of the sources by outcome."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def __call__(self, path: str | Path | list[str], **log: Any) -> dict[str, list[str | None]]:
        settings = {"path": path if isinstance(path, list) else str(path), "format": "csv", "select": SELECT, **log}
        if settings["format"] == "csv":
            settings.setdefault("options", {"header": True})
        config = small_config(logs={"events": settings})
        raw = read_log(self._spark, "events", config.logs["events"])
        rows = check_rows(raw, check_expressions(raw, "events", config.logs["events"]), config).collect()
        result: dict[str, list[str | None]] = {}
        for row in rows:
            if row["outcome"] != "header":
                result.setdefault(row["reason"] or row["outcome"], []).append(row["source_id"])
        return {reason: sorted(ids, key=str) for reason, ids in result.items()}


def csv_of(*sources: str) -> str:
    return HEADER + "".join(f"like,{source},i,2026-05-02\n" for source in sources)


def table(**columns: Any) -> pa.Table:
    rows = len(next(iter(columns.values())))
    plain = {"action": ["like"] * rows, "target": ["i"] * rows, "time": ["2026-05-02"] * rows}
    return pa.table({**plain, **columns})
