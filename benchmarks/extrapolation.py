"""What the peer would take on the whole graph, from smaller ones of the same shape where the whole takes too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.planted import PlantedGraph


@dataclass(frozen=True)
class PeerSeconds:
    """Seconds on a graph of `edges`: of the graph itself, or on the line through two smaller ones (edges, seconds)."""

    edges: int
    seconds: float
    points: tuple[tuple[int, float], ...]

    def __str__(self) -> str:
        measured = ", ".join(f"{seconds:.1f} s on {edges:,} edges" for edges, seconds in self.points)
        if len(self.points) == 1:
            return f"measured: {measured}"
        return f"not run on {self.edges:,} edges; the line through {measured} gives {self.seconds:,.0f} s"


def smaller_graphs(graph: PlantedGraph, share: float) -> list[PlantedGraph]:
    """The graph itself where `share` is 1; else graphs of that share and of a tenth of it, as dense as the whole."""
    shares = [1.0] if share == 1 else [share, share / 10]
    return [PlantedGraph(round(graph.entities * one), round(graph.edges * one)) for one in shares]


def scale(graph: PlantedGraph, graphs: Sequence[PlantedGraph], seconds: Callable[[PlantedGraph], float]) -> PeerSeconds:
    """Runs `seconds` on each of the graphs. On a line, the time of starting a process is not multiplied."""
    points = tuple((one.edges, seconds(one)) for one in graphs)
    if len(points) == 1:
        return PeerSeconds(graph.edges, points[0][1], points)
    (large, long), (small, short) = points
    slope = (long - short) / (large - small)
    return PeerSeconds(graph.edges, long + slope * (graph.edges - large), points)
