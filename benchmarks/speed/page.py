"""Write docs/results/benchmarks.md and its plots from the stored results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

from benchmarks import plots
from benchmarks.markdown import table
from benchmarks.paths import PAGES
from benchmarks.speed.catalogue import BENCHMARKS, Benchmark
from benchmarks.speed.records import Result

_HEAD = """\
# Benchmarks

`make bench` runs all benchmarks and writes this page. `make bench-graph-build` runs one benchmark and updates its
section. Each benchmark prints one JSON line; all measurements are in `benchmarks/results/benchmarks.json`.
`.venv/bin/python -m benchmarks NAME --help` lists the options of a benchmark. The peer is PyTorch-BigGraph 1.0.0, which
`make bench` installs into a virtual environment of its own (about two minutes and 5 GB). FB15k-237 is read from the
folder that the environment variable `TWHIN_DATA_HOME` names. `benchmarks/notes/kernels.md` records which changes led to
these figures and which did not help.
"""


def write_page(results: Mapping[str, Result], folder: Path = PAGES) -> None:
    """Write the page and the plots of all results into an existing folder."""
    measured = [(name, results[name]) for name in BENCHMARKS if name in results]
    plots.ratios([(result, BENCHMARKS[name]) for name, result in measured], folder / "benchmarks-ratios.svg")
    blocks = [_HEAD, _summary(measured), "![Ratios](benchmarks-ratios.svg)\n"]
    blocks += [_section(name, BENCHMARKS[name], result, folder) for name, result in measured]
    (folder / "benchmarks.md").write_text("\n".join(blocks))


def _summary(measured: Iterable[tuple[str, Result]]) -> str:
    rows = []
    for name, result in measured:
        benchmark = BENCHMARKS[name]
        sign = "≤" if benchmark.lower_is_better else "≥"
        rows.append(
            (
                f"[{name}](#{benchmark.title.lower().replace(' ', '-').replace(',', '').replace(chr(39), '')})",
                _number(result.ours),
                _number(result.peer),
                result.unit,
                f"**{_number(result.ratio)}**",
                *("" if bound is None else f"{sign} {bound:g}" for bound in (benchmark.goal, benchmark.aim)),
            )
        )
    return table(("benchmark", "ours", "peer", "unit", "ratio", "goal", "aim"), rows)


def _section(name: str, benchmark: Benchmark, result: Result, folder: Path) -> str:
    blocks = [f"## {benchmark.title}\n", f"`make bench-{name.replace('_', '-')}`. {benchmark.about}\n"]
    if result.repeats:
        rows = [
            (contender, f"**{_number(median(list(values)))}**", ", ".join(map(_number, values)))
            for contender, values in result.repeats.items()
        ]
        blocks.append(table((result.unit, "median", "all"), rows))
    if result.parts:
        plot = folder / f"benchmarks-{name.replace('_', '-')}.svg"
        plots.parts(result.parts, result.parts_unit, plot)
        blocks.append(f"![Parts of the wall time]({plot.name})\n")
        blocks.append(_parts_table(result.parts, result.parts_unit))
    if result.facts:
        blocks.append(table(("", ""), list(result.facts.items())))
    versions = ", ".join(f"{package} {version}" for package, version in result.versions.items())
    blocks.append(f"Measured on {result.date}, {result.cores} cores of {result.cpu}; {versions}.\n")
    return "\n".join(blocks)


def _parts_table(bars: Mapping[str, Mapping[str, float]], unit: str) -> str:
    rows = []
    for bar, parts in bars.items():
        total = sum(parts.values())
        rows += [(bar, part, _number(value), f"{100 * value / total:.1f}%") for part, value in parts.items()]
        rows.append((bar, "**all**", f"**{_number(total)}**", ""))
    return table(("", "part", unit, "share"), rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
