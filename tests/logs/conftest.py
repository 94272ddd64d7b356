"""How these tests read a log: written to a file, read, checked, judged, collected. No table is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from tests.support.configs import SELECT, JudgeLog, small_config
from tests.support.log_files import Reader
from twhin_spark.logs.expressions import check_expressions
from twhin_spark.logs.reader import read_log
from twhin_spark.logs.row_checks import check_rows
from twhin_spark.tables.session_settings import spark_setting


@pytest.fixture(autouse=True)
def interpreted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let Spark interpret expressions: for a few rows of a plan that no test has twice, compiling takes longer."""
    if "spark" not in request.fixturenames:
        yield
        return
    spark: SparkSession = request.getfixturevalue("spark")
    with (
        spark_setting(spark, "spark.sql.codegen.wholeStage", "false"),
        spark_setting(spark, "spark.sql.codegen.factoryMode", "NO_CODEGEN"),
    ):
        yield


@pytest.fixture
def judge_log(spark: SparkSession, scratch: Path) -> JudgeLog:
    """The judged rows of a log with this content; keywords are options of the log."""

    def run(
        content: str | bytes, file: str = "log.csv", sections: dict[str, Any] | None = None, **log: Any
    ) -> DataFrame:
        path = scratch / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        given = {"path": str(path), "format": path.suffix[1:], "select": SELECT, **log}
        if given["format"] == "csv":
            given.setdefault("options", {"header": True})
        config = small_config(logs={"events": given}, **(sections or {}))
        raw = read_log(spark, "events", config.logs["events"])
        return check_rows(raw, check_expressions(raw, "events", config.logs["events"]), config)

    return run


@pytest.fixture
def ids(spark: SparkSession) -> Reader:
    return Reader(spark)
