"""The validation edges that every epoch of a run is measured on, as they are kept in its folder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from twhin_spark.graph.entity_location import Locations
from twhin_spark.kernels.arrays import Floats, Integers


@dataclass(frozen=True)
class ValidationSample:
    """n validation edges whose ends both have training edges.

    relation: (n,), indices in the run's relations. source, target: (n,), entity locations. weight: (n,), float32.
    known_edge, known_target: (k,), pairs of an edge's index and the location of an entity that is left out of the
    edge's ranking, such as another training target of its source.
    """

    relation: Integers
    source: Locations
    target: Locations
    weight: Floats
    known_edge: Integers
    known_target: Locations

    def __len__(self) -> int:
        return len(self.relation)

    def to_arrow(self) -> pa.Table:
        """Return a row for each edge, with its known targets as a list."""
        counts = np.bincount(self.known_edge, minlength=len(self))
        order = np.argsort(self.known_edge, kind="stable")
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        known = pa.ListArray.from_arrays(starts, pa.array(self.known_target[order], pa.int64()))
        columns = {name: getattr(self, name) for name in ("relation", "source", "target", "weight")}
        return pa.table({**columns, "known": known})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> ValidationSample:
        """Return the sample that `to_arrow` turned into this table."""
        columns = [table[name].to_numpy() for name in ("relation", "source", "target", "weight")]
        known = table["known"].combine_chunks()
        edge = np.repeat(np.arange(table.num_rows), known.value_lengths().to_numpy(zero_copy_only=False))
        return cls(columns[0], columns[1], columns[2], columns[3], edge, known.flatten().to_numpy())
