"""The page of the scaling benchmark, with its plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.plots import curves

_TEXT = """# Scaling

`make bench-scaling` trains planted graphs of several sizes for one epoch on this machine, fits a
[simulation](../architecture.md#why-visitors-come-in-slices) of the schedule to the times, and runs it for clusters. A
measured point is kept with its commit and machine in `benchmarks/results/scaling.json`.

## The time of an edge on clusters

Simulated: machines of 16 cores, each with a 25 Gbit/s link that carries the store and its peers alike; 50 million edges
a core, dimension 128, 500 + 500 negatives, batches of 8,000 edges. Growth is that of the core-seconds of an edge from 2
cores to 2,000: **{growth:.2f}** with 100 edges an entity, and {growth10:.2f} with 10.

{clusters}

![Core-seconds of an edge by cores](scaling.svg)

## Two cores of one machine

With 10 million edges, training with two threads in a task is **{threads:.2f}** times as fast as with one. The kernels
of two independent processes of one thread do {processes:.2f} times the work of one of them alone, as both share the
machine's memory: that is the ceiling. Two executors of one core are {executors:.2f} times as fast as one.

## Measured points

Of each point, the simulated time beside it. The simulation is not fitted to the points with 16 and 64 groups. The
largest error is {error:.0%}.

{points}
"""


def write_page(result: Mapping[str, Any], folder: Path) -> None:
    """Write the page `scaling.md` and its plot into a folder."""
    clusters = ["| cores | edges an entity | µs of a core for an edge |", "| --- | --- | --- |"]
    for row in result["simulated"]:
        seconds = 1e6 * row["core_seconds_per_edge"]
        clusters.append(f"| {row['cores']:,} | {row['edges_an_entity']} | {seconds:.2f} |")
    columns = ("edges", "entities", "groups", "lanes", "threads", "executors", "negatives", "batch_size")
    titles = ["edges", "entities", "groups", "lanes", "threads", "executors", "negatives", "batch"]
    titles += ["µs an edge", "simulated", "state bytes an edge", "peak, GB"]
    points = [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]
    for row in result["points"]:
        cells = [f"{row[column]:,}" for column in columns]
        cells += [f"{1e6 * row[name]:.2f}" for name in ("seconds_per_edge", "simulated_seconds_per_edge")]
        cells += [f"{row['state_bytes_per_edge']:.0f}", f"{row['peak_gb']:.2f}"]
        points.append(f"| {' | '.join(cells)} |")
    text = _TEXT.format(
        growth=result["growth"],
        growth10=result["growth_10_edges_an_entity"],
        error=result["worst_error"],
        threads=result["two_threads_over_one"],
        processes=result["two_processes_over_one"],
        executors=result["two_executors_over_one"],
        clusters="\n".join(clusters),
        points="\n".join(points),
    )
    (folder / "scaling.md").write_text(text)
    lines: dict[str, dict[str, list[float]]] = {}
    for row in result["simulated"]:
        line = lines.setdefault(f"{row['edges_an_entity']} edges an entity", {"cores": [], "µs of a core": []})
        line["cores"].append(row["cores"])
        line["µs of a core"].append(1e6 * row["core_seconds_per_edge"])
    curves(lines, "cores", "µs of a core", folder / "scaling.svg")
