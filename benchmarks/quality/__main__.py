"""The command line of quality: a data set, a seed, one JSON line."""

from __future__ import annotations

import json

import click

from benchmarks.quality.data_sets import SETS, SMALLER, DataSet
from benchmarks.quality.measure import measure
from benchmarks.quality.page import write_page
from benchmarks.quality.records import load_runs
from benchmarks.readme_results import update_readme


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("name", type=click.Choice([*SETS, "all"]))
@click.option("--seed", "seeds", multiple=True, default=(0,), type=click.IntRange(min=0), help="Seeds of training.")
@click.option("--set", "overrides", multiple=True, help="Config option as path=value, such as training.dim=64.")
@click.option("--variants", is_flag=True, help="Measure the variants that the page shows as ablations and curves.")
@click.option("--trial", is_flag=True, help="Measure on validation edges and keep no record, for tuning.")
def main(name: str, seeds: tuple[int, ...], overrides: tuple[str, ...], variants: bool, trial: bool) -> None:
    """Train and measure a data set, or all; print a JSON line for each seed and variant."""
    for data in SETS if name == "all" else [name]:
        for variant in _variants(SETS[data]) if variants else [[]]:
            for seed in seeds:
                click.echo(json.dumps(measure(data, seed, [*overrides, *variant], trial)))
    if not trial:
        write_page(load_runs())
        update_readme()


def _variants(data: DataSet) -> list[list[str]]:
    """Return the overrides of each run that is made for an ablation or a curve."""
    return [[*SMALLER, *variant] for variant in data.variants] + ([list(data.curve)] if data.curve else [])


if __name__ == "__main__":
    main()
