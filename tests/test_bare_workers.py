"""The workers of all tests have little installed, so that every Spark test shows what its tasks need."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import SparkSession


def test_a_worker_lacks_what_only_the_driver_needs(spark: SparkSession) -> None:
    names = ("numpy", "scipy", "pandas", "pyarrow", "twhin_spark.kernels", "pydantic", "yaml", "delta", "faiss", "rich")

    def importable(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            for name in names:
                try:
                    importlib.import_module(name)
                except ImportError:
                    continue
                yield pa.RecordBatch.from_pydict({"name": [name]})

    rows = spark.range(1).mapInArrow(importable, "name STRING").collect()
    assert [row["name"] for row in rows] == list(names[:5])
