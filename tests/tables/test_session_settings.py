from __future__ import annotations

from contextlib import suppress

import pytest
from pyspark.sql import SparkSession

from twhin_spark.tables.session_settings import ARROW_BYTES, spark_setting


@pytest.mark.parametrize("before", [None, "500"])
def test_a_setting_holds_in_its_block_and_the_users_own_value_comes_back(
    spark: SparkSession, before: str | None
) -> None:
    default = spark.conf.get(ARROW_BYTES)
    if before is not None:
        spark.conf.set(ARROW_BYTES, before)
    try:
        with suppress(KeyError), spark_setting(spark, ARROW_BYTES, "4096"):
            assert spark.conf.get(ARROW_BYTES) == "4096"
            raise KeyError
        assert spark.conf.get(ARROW_BYTES) == (before or default)
    finally:
        spark.conf.unset(ARROW_BYTES)


def test_a_property_without_a_default_is_unset_again(spark: SparkSession) -> None:
    with spark_setting(spark, "twhin.test", "1"):
        assert spark.conf.get("twhin.test") == "1"
    assert spark.conf.get("twhin.test", None) is None
