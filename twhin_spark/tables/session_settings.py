"""Spark properties that hold for a part of a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyspark.sql import SparkSession

ARROW_BYTES = "spark.sql.execution.arrow.maxBytesPerBatch"


@contextmanager
def spark_setting(spark: SparkSession, name: str, value: str) -> Iterator[None]:
    """Set a property of the session for the duration of the block, then restore the value that it had before.

    A row of `edge_buckets`, for example, is a block of up to many edges. By Spark's default, an Arrow batch of its rows
    may be large, so `spark_setting(spark, ARROW_BYTES, "4194304")` surrounds what reads such rows in Python.
    """
    before = spark.conf.get(name, None)
    spark.conf.set(name, value)
    try:
        yield
    finally:
        with suppress(Exception):  # the failure that ended the block may have ended Spark as well
            if before is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, before)
