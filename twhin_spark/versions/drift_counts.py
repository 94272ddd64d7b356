"""Counts of drift by entity type and degree band. Used on workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa

from twhin_spark.kernels.alignment import Alignment
from twhin_spark.kernels.drift import MEASURES, bins_of
from twhin_spark.versions.vector_columns import vector_array

BANDS = {"0": 0, "1-9": 1, "10-99": 10, "100-999": 100, "1000 or more": 1000}  # the least degree of each
UNIT = 1e9  # sums are of whole numbers of 1e-9, so that their order does not matter
COUNTS = "entity_type STRING, band INT, measure STRING, rotated BOOLEAN, bin INT, count BIGINT, total BIGINT"


def counter(rotation: Alignment) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function for `mapInArrow` of entity_type, a, b and degree, whose rows are COUNTS.

    The rotation is that of the later version's vectors b.
    """

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Count the values of each batch in bins. Runs on workers."""
        for batch in batches:
            if batch.num_rows:
                yield from _counted(pa.Table.from_batches([batch]), rotation).to_batches()

    return count


def _counted(pairs: pa.Table, rotation: Alignment) -> pa.Table:
    a, b = vector_array(pairs["a"]), vector_array(pairs["b"])
    band = np.searchsorted(list(BANDS.values()), pairs["degree"].to_numpy(), side="right") - 1
    parts = []
    for rotated, later in ((False, b), (True, rotation.vectors(b))):
        for name, measure in MEASURES.items():
            values = measure(a, later)
            columns = {
                "entity_type": pairs["entity_type"],
                "band": pa.array(band, pa.int32()),
                "bin": pa.array(bins_of(values), pa.int32()),
                "total": np.rint(values * UNIT).astype(np.int64),
            }
            grouped = pa.table(columns).group_by(["entity_type", "band", "bin"], use_threads=False)
            sums = grouped.aggregate([([], "count_all"), ("total", "sum")])
            parts.append(
                pa.table(
                    {
                        "entity_type": sums["entity_type"],
                        "band": sums["band"],
                        "measure": pa.array([name] * len(sums)),
                        "rotated": pa.array([rotated] * len(sums)),
                        "bin": sums["bin"],
                        "count": sums["count_all"],
                        "total": sums["total_sum"],
                    }
                )
            )
    return pa.concat_tables(parts)
