"""Held-out edges and the queries made of them, as arrays of entity locations. Used on the driver and on workers.

A query gives the source of a held-out edge; its positive is the edge's target. For a mirrored edge, the query gives the
edge's target and the positive is its source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.graph.entity_location import Locations, partition_slice, positions_in
from twhin_spark.kernels.arrays import Integers


@dataclass(frozen=True)
class HeldOutEdges:
    """The distinct edges of one relation and split that are not training edges of that relation.

    Parameters
    ----------
    source, target
        Locations (n,), -1 for an entity without a training edge of any relation.
    source_connected, target_connected
        Booleans (n,): true if a training edge of this relation has the same source, or the same target.
    """

    source: Locations
    target: Locations
    source_connected: NDArray[np.bool_]
    target_connected: NDArray[np.bool_]

    @property
    def seen(self) -> HeldOutEdges:
        """The edges of which both ends have a training edge."""
        both = (self.source >= 0) & (self.target >= 0)
        connected = self.source_connected[both], self.target_connected[both]
        return HeldOutEdges(self.source[both], self.target[both], *connected)

    @property
    def mirrored(self) -> HeldOutEdges:
        """The same edges with their ends swapped."""
        return HeldOutEdges(self.target, self.source, self.target_connected, self.source_connected)

    @property
    def cold_share(self) -> float | None:
        """The share of cold edges, those that are not in `seen`; None if there is no edge."""
        return 1 - len(self.seen.source) / len(self.source) if len(self.source) else None


@dataclass(frozen=True)
class Queries:
    """The queries (m,) of one relation and split, ordered by source, then target.

    Parameters
    ----------
    sources
        Locations (u,) of the queries' sources, distinct and ascending.
    connected
        Booleans (u,): true if the source has a training edge of this relation.
    source
        Position of each query's source in `sources`, (m,).
    target
        Location of each query's positive, (m,).
    held_out_source, held_out_target
        All distinct held-out pairs (h,) of these sources, in any split but training: the position of the source in
        `sources` and the location of the target. The pairs of the queries are among them.
    """

    sources: Locations
    connected: NDArray[np.bool_]
    source: Integers
    target: Locations
    held_out_source: Integers
    held_out_target: Locations

    def __len__(self) -> int:
        return len(self.source)

    def of_sources(self, sources: slice) -> slice:
        """Return the positions of the queries of a slice of the sources."""
        begin, end = np.searchsorted(self.source, (sources.start, sources.stop))
        return slice(int(begin), int(end))

    def sources_in(self, first: int, stop: int) -> slice:
        """Return the positions of the sources in the partitions first, ..., stop - 1."""
        return partition_slice(self.sources, first, stop)


def queries_of(edges: HeldOutEdges, *others: HeldOutEdges) -> Queries:
    """Return the queries of the seen edges of a split; `others` are the relation's other held-out splits."""
    split, *rest = (part.seen for part in (edges, *others))
    order = np.lexsort((split.target, split.source))
    sources, first, source = np.unique(split.source[order], return_index=True, return_inverse=True)
    held_out_source = positions_in(np.concatenate([part.source for part in (split, *rest)]), sources)
    held_out_target = np.concatenate([part.target for part in (split, *rest)])
    queried = held_out_source >= 0
    pairs = np.unique(np.stack([held_out_source[queried], held_out_target[queried]]), axis=1)
    return Queries(sources, split.source_connected[order][first], source, split.target[order], pairs[0], pairs[1])
