"""Measures the points that are missing, fits the simulation, writes the page and prints a JSON line."""

from __future__ import annotations

import json
from typing import Any

import click

from benchmarks.paths import PAGES
from benchmarks.scaling.fit import CORES, core_seconds, fit, predicted
from benchmarks.scaling.page import write_page
from benchmarks.scaling.points import POINTS, Measurement, Point, load, measure_missing, measured
from benchmarks.speed.records import rounded

_WIDE_BATCH = 8000  # a batch that keeps 16 threads busy


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only-print", is_flag=True, help="Measure nothing; fail if a point is missing.")
def main(only_print: bool) -> None:
    """Show how the time of an edge grows with the graph, the groups, the threads and the cluster."""
    if not only_print:
        measure_missing()
    if missing := [point for point in POINTS if point.name not in load()]:
        raise SystemExit(f"{len(missing)} points are not measured yet, the first one is {missing[0]}")
    result = summary(dict(measured()))
    write_page(result, PAGES)
    click.echo(json.dumps(rounded(result)))


def summary(points: dict[Point, Measurement]) -> dict[str, Any]:
    """Return the result: measured points with what is simulated for each, and simulated clusters."""
    rows = []
    for point, measurement in points.items():
        costs = fit(points, negatives=point.negatives, batch_size=point.batch_size)
        rows.append(
            {
                "edges": point.edges,
                "entities": point.entities,
                "groups": point.groups,
                "threads": point.threads,
                "lanes": point.lanes,
                "executors": point.executors,
                "negatives": point.negatives,
                "batch_size": point.batch_size,
                "held_back": point.held_back,
                "seconds_per_edge": measurement.seconds_per_edge,
                "state_bytes_per_edge": measurement.state_bytes_per_edge,
                "peak_gb": measurement.peak_gb,
                "simulated_seconds_per_edge": predicted(point, costs),
            }
        )
    wide = fit(points, batch_size=_WIDE_BATCH)
    simulated = [
        {"cores": cores, "edges_an_entity": density, "core_seconds_per_edge": core_seconds(cores, wide, density)}
        for density in (100, 10)
        for cores in CORES
    ]
    by_cores = {(row["cores"], row["edges_an_entity"]): row["core_seconds_per_edge"] for row in simulated}
    errors = [abs(row["simulated_seconds_per_edge"] / row["seconds_per_edge"] - 1) for row in rows]
    return {
        "name": "scaling",
        "points": rows,
        "simulated": simulated,
        "growth": by_cores[2000, 100] / by_cores[2, 100],
        "growth_10_edges_an_entity": by_cores[2000, 10] / by_cores[2, 10],
        "worst_error": max(errors),
    }


if __name__ == "__main__":
    main()
