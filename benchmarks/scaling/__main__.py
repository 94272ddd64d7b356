"""Measures the points that are missing, fits the simulation, writes the page and prints a JSON line."""

from __future__ import annotations

import json

import click

from benchmarks.paths import PAGES
from benchmarks.scaling.fit import summary
from benchmarks.scaling.page import write_page
from benchmarks.scaling.points import POINTS, load, measure_missing, measured, measured_machine
from benchmarks.speed.records import rounded


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only-print", is_flag=True, help="Measure nothing; fail if a point is missing.")
def main(only_print: bool) -> None:
    """Show how the time of an edge grows with the graph, the groups, the threads and the cluster."""
    if not only_print:
        measure_missing()
    if missing := [point for point in POINTS if point.name not in load()]:
        raise SystemExit(f"{len(missing)} points are not measured yet, the first one is {missing[0]}")
    result = summary(dict(measured()), measured_machine())
    write_page(result, PAGES)
    click.echo(json.dumps(rounded(result)))


if __name__ == "__main__":
    main()
