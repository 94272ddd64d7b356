"""The peer's seconds on a graph that takes it too long, extrapolated from smaller graphs of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.speed.planted import PlantedGraph


@dataclass(frozen=True)
class PeerSeconds:
    """Seconds on a graph of `edges` edges, measured or extrapolated.

    points: the measurements (edges, seconds). A single one is of the graph itself; a line through two gives `seconds`.
    """

    edges: int
    seconds: float
    points: tuple[tuple[int, float], ...]

    def __str__(self) -> str:
        measured = ", ".join(f"{seconds:.1f} s on {edges:,} edges" for edges, seconds in self.points)
        if len(self.points) == 1:
            return f"measured: {measured}"
        return f"not run on {self.edges:,} edges; the line through {measured} gives {self.seconds:,.0f} s"


def smaller_graphs(graph: PlantedGraph, share: float) -> list[PlantedGraph]:
    """Return the graphs to measure: the graph itself if `share` is 1, else graphs of that share and a tenth of it.

    They have as many edges for an entity as the graph.
    """
    shares = [1.0] if share == 1 else [share, share / 10]
    return [PlantedGraph(round(graph.entities * part), round(graph.edges * part)) for part in shares]


def peer_seconds(
    graph: PlantedGraph, measured: Sequence[PlantedGraph], seconds: Callable[[PlantedGraph], float]
) -> PeerSeconds:
    """Measure the seconds of each of `measured` (from `smaller_graphs`) and extrapolate them to the graph.

    Because of the line's intercept, the time that a process takes to start is not multiplied. For example, 50 s on a
    million edges and 7 s on 100,000 give 480 s on ten million.
    """
    points = tuple((smaller.edges, seconds(smaller)) for smaller in measured)
    if len(points) == 1:
        return PeerSeconds(graph.edges, points[0][1], points)
    (large, long), (small, short) = points
    slope = (long - short) / (large - small)
    return PeerSeconds(graph.edges, long + slope * (graph.edges - large), points)
