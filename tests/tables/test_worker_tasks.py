from __future__ import annotations

from collections.abc import Sequence

import pytest
from pyspark.sql import SparkSession

from twhin_spark.errors import InputError, TrainingError, TwhinError
from twhin_spark.tables.worker_tasks import run_units


class DamagedFileError(InputError):
    """An error that `twhin_spark.errors` does not have."""


def test_units_are_dealt_to_tasks_in_their_order(spark: SparkSession) -> None:
    def numbers(units: Sequence[int]) -> bytes:
        return bytes(units)

    assert run_units(spark, numbers, 3) == [b"\0", b"\1", b"\2"]
    assert run_units(spark, numbers, 5, tasks=2) == [b"\0\1", b"\2\3\4"]
    assert run_units(spark, numbers, 1, tasks=2) == [b"", b"\0"]


@pytest.mark.parametrize("raised", [TwhinError, InputError, TrainingError, DamagedFileError])
def test_an_error_of_a_worker_is_raised_on_the_driver_with_its_line_and_class(
    spark: SparkSession, raised: type[TwhinError]
) -> None:
    def fail(units: Sequence[int]) -> bytes:
        if 1 in units:
            raise raised("part 1: the file is gone")
        return b""

    with pytest.raises(TwhinError, match=r"^part 1: the file is gone$") as error:
        run_units(spark, fail, 3)
    assert type(error.value) is (InputError if raised is DamagedFileError else raised)
