"""The command line of the benchmarks: `python -m benchmarks NAME`, or `all`.

Each prints a JSON line, stores its result and updates its section of the page.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from benchmarks.readme_results import update_readme
from benchmarks.result_pages import write_pages
from benchmarks.speed.catalogue import BENCHMARKS
from benchmarks.speed.kernel import kernel
from benchmarks.speed.large_jobs import graph_build, whole_job
from benchmarks.speed.page import write_page
from benchmarks.speed.planted import PlantedGraph
from benchmarks.speed.ranking import ranking_share
from benchmarks.speed.records import Result, load, record
from benchmarks.speed.sgemm import sgemm_share
from benchmarks.speed.training_overhead import engine_overhead, small_graph_overhead


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def cli() -> None:
    """Measure twhin-spark, and PyTorch-BigGraph if it does the same. Progress goes to stderr."""


def _benchmark(run: Callable[..., Result], name: str, *options: Callable[..., Callable[..., None]]) -> None:
    def command(**values: object) -> None:
        record(run(**values))
        write_page(load())
        update_readme()

    for option in options:
        command = option(command)
    benchmark = BENCHMARKS[name]
    cli.command(name.replace("_", "-"), help=f"{benchmark.title}. {benchmark.about}")(command)


def _number(name: str, default: int, text: str) -> Callable[..., Callable[..., None]]:
    return click.option(name, default=default, type=click.IntRange(min=1), help=text)


def _repeats(default: int) -> Callable[..., Callable[..., None]]:
    return _number("--repeats", default, "Number of repeats; medians are compared.")


_ENTITIES = _number("--entities", 1_000_000, "Entities of the planted graph.")
_EDGES = _number("--edges", 10_000_000, "Edges of the planted graph.")
_PEER_SHARE = click.option(
    "--peer-share", default=0.1, type=click.FloatRange(0, 1, min_open=True),
    help="Share of the graph that PyTorch-BigGraph is measured on. Below 1, its time for the whole graph is "
    "extrapolated from this share and a tenth of it.",
)  # fmt: skip
_EPOCHS = "Epochs of a repeat, after a first epoch that is warm-up."


def _kernel(name: str, dim: int, negatives: int) -> Callable[..., Result]:
    return lambda repeats, epochs: kernel(name, dim, negatives, repeats, epochs)


_benchmark(
    _kernel("kernel_d128_500_500", 128, 500), "kernel_d128_500_500", _number("--epochs", 2, _EPOCHS), _repeats(3)
)
_benchmark(_kernel("kernel_d100_50_50", 100, 50), "kernel_d100_50_50", _number("--epochs", 4, _EPOCHS), _repeats(3))
_benchmark(lambda repeats: sgemm_share(128, 500, repeats), "sgemm_share_d128", _repeats(5))
_benchmark(lambda repeats: ranking_share(128, 4, 16, repeats), "ranking_share_d128", _repeats(5))
_benchmark(
    lambda entities, edges, repeats: engine_overhead(PlantedGraph(entities, edges), 128, 500, repeats),
    "engine_overhead", _EDGES, _ENTITIES, _repeats(1),
)  # fmt: skip
_benchmark(
    lambda entities, edges, repeats, peer_share: graph_build(PlantedGraph(entities, edges), repeats, peer_share),
    "graph_build", _PEER_SHARE, _EDGES, _ENTITIES, _repeats(1),
)  # fmt: skip
_benchmark(
    lambda entities, edges, repeats, peer_share: whole_job(PlantedGraph(entities, edges), repeats, peer_share),
    "whole_job", _PEER_SHARE, _EDGES, _ENTITIES, _repeats(1),
)  # fmt: skip
_benchmark(
    small_graph_overhead,
    "small_graph_overhead", _number("--epochs", 20, "Epochs of a training."), _repeats(3),
)  # fmt: skip


@cli.command("all")
@click.pass_context
def run_all(context: click.Context) -> None:
    """Run all benchmarks with their defaults, one after the other: about half an hour on two cores."""
    for name in BENCHMARKS:
        context.invoke(cli.commands[name.replace("_", "-")])


@cli.command("page")
def page() -> None:
    """Write all result pages, their plots and README's table from the records, without measuring."""
    write_pages()
    update_readme()


if __name__ == "__main__":
    cli()
