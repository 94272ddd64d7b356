"""The edges that a relation is judged by, as arrays of places. Used on driver and workers.

A query asks for the target of a held-out edge, given its source; of a mirrored edge, that is the other way round.
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

    source, target: places (n,), -1 for an entity that was not seen in training under any relation.
    connected, target_connected: (n,), whether the source and the target have a training edge of this relation, as the
        end that they are here.
    """

    source: Locations
    target: Locations
    connected: NDArray[np.bool_]
    target_connected: NDArray[np.bool_]

    @property
    def seen(self) -> HeldOutEdges:
        """Those of which both ends were seen in training."""
        both = (self.source >= 0) & (self.target >= 0)
        return HeldOutEdges(self.source[both], self.target[both], self.connected[both], self.target_connected[both])

    @property
    def mirrored(self) -> HeldOutEdges:
        """The same edges with their ends swapped."""
        return HeldOutEdges(self.target, self.source, self.target_connected, self.connected)

    @property
    def cold_share(self) -> float | None:
        """Share of the edges with an unseen end; None where there is no edge."""
        return 1 - len(self.seen.source) / len(self.source) if len(self.source) else None


@dataclass(frozen=True)
class Queries:
    """The queries (m,) of one relation and split, ordered by source, then target.

    sources: places (u,), distinct and ascending; connected: (u,), as of HeldOutEdges.
    source: (m,), of each query its position in sources; target: places (m,), its answer.
    held_out_source, held_out_target: (h,), like source and target, the distinct pairs of these sources in any split but
        training. The queries are among them.
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
        """Positions of the queries of a slice of the sources."""
        begin, end = np.searchsorted(self.source, (sources.start, sources.stop))
        return slice(int(begin), int(end))

    def sources_in(self, first: int, last: int) -> slice:
        """Positions of the sources in the partitions first up to, not including, last."""
        return partition_slice(self.sources, first, last)


def queries_of(edges: HeldOutEdges, *others: HeldOutEdges) -> Queries:
    """The queries of a split's edges; `others` are those of the relation's other held-out splits."""
    asked, *rest = (part.seen for part in (edges, *others))
    order = np.lexsort((asked.target, asked.source))
    sources, first, source = np.unique(asked.source[order], return_index=True, return_inverse=True)
    held_out_source = positions_in(np.concatenate([part.source for part in (asked, *rest)]), sources)
    held_out_target = np.concatenate([part.target for part in (asked, *rest)])
    ours = held_out_source >= 0
    held = np.unique(np.stack([held_out_source[ours], held_out_target[ours]]), axis=1)
    return Queries(sources, asked.connected[order][first], source, asked.target[order], held[0], held[1])
