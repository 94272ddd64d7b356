"""Work in Spark tasks that return bytes, and the errors of workers, which reach the user as one line.

An exception in a worker reaches the driver as a long trace through Spark and the JVM. So a worker returns a
`TwhinError` as a row with its line and its class, and the driver raises it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from twhin_spark import errors
from twhin_spark.errors import TwhinError

RESULT_SCHEMA = "result BINARY, error STRING, error_class STRING"
_ARROW_SCHEMA = pa.schema([("result", pa.binary()), ("error", pa.string()), ("error_class", pa.string())])


def run_units(
    spark: SparkSession, work: Callable[[Sequence[int]], bytes], units: int, *, tasks: int | None = None
) -> list[bytes]:
    """Run numbered units of work on Spark's workers.

    Parameters
    ----------
    spark
        The session.
    work
        Function of the numbers of some units that returns their result. It runs on workers, once in each task.
    units
        Number of units, which are 0 to units - 1.
    tasks
        Number of tasks, to which the units are dealt in runs of consecutive numbers; None: one for each unit.

    Returns
    -------
    list of bytes
        The results in the order of the tasks.

    Raises
    ------
    TwhinError
        `work` raised it in a worker. Its class is the one that was raised, or the nearest one in `twhin_spark.errors`.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        numbers = [number for batch in batches for number in batch["id"].to_pylist()]
        yield result_batch(lambda: work(numbers))

    return collect_results(spark.range(0, units, 1, tasks or units).mapInArrow(run, RESULT_SCHEMA))


def result_batch(work: Callable[[], bytes]) -> pa.RecordBatch:
    """Run `work` and return one row of RESULT_SCHEMA: its result, or the TwhinError that it raised. Runs on workers."""
    try:
        row: tuple[bytes | None, str | None, str | None] = (work(), None, None)
    except TwhinError as error:
        known = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
        row = (None, str(error), known.__name__)
    return pa.record_batch([[value] for value in row], schema=_ARROW_SCHEMA)


def collect_results(rows: DataFrame) -> list[bytes]:
    """Compute rows of RESULT_SCHEMA and return their results. Raises the TwhinError of the first row that has one."""
    results = []
    for row in rows.collect():
        if row["error"] is not None:
            error: TwhinError = getattr(errors, row["error_class"])(row["error"])
            raise error
        results.append(bytes(row["result"]))
    return results
