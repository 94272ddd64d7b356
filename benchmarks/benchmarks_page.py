"""docs/benchmarks.md and its plots, from the stored results alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks import plots
from benchmarks.catalogue import ENTRIES, Entry
from benchmarks.paths import PAGE
from benchmarks.results import Result, middle

_HEAD = """\
# Benchmarks

`make bench` runs all of them and writes this page; `make bench-graph-build` runs one and writes its part anew. Each
prints one JSON line; all measurements are in [benchmarks.json](benchmarks.json). The peer is PyTorch-BigGraph 1.0.0 in
a virtual environment of its own, which `make bench` makes (about two minutes and 5 GB).
`.venv/bin/python -m benchmarks NAME --help` says what can be set. FB15k-237 is read from `../shared/data`, or from the
folder that `TWHIN_DATA_HOME` names. What was changed on the way to these figures, and what did not help, is in
[where the time goes](kernels.md).
"""


def write_page(results: Mapping[str, Result]) -> None:
    """Writes the page and the plots of all results."""
    known = [(name, results[name]) for name in ENTRIES if name in results]
    plots.ratios([(result, ENTRIES[name]) for name, result in known], PAGE.with_name("benchmarks-ratios.svg"))
    blocks = [_HEAD, _summary(known), "![Ratios](benchmarks-ratios.svg)\n"]
    for name, result in known:
        blocks.append(_section(name, ENTRIES[name], result))
    PAGE.write_text("\n".join(blocks))


def _summary(known: Iterable[tuple[str, Result]]) -> str:
    rows = []
    for name, result in known:
        entry = ENTRIES[name]
        sign = "≤" if entry.falling else "≥"
        rows.append(
            (
                f"[{name}](#{entry.title.lower().replace(' ', '-').replace(',', '').replace(chr(39), '')})",
                _number(result.ours),
                _number(result.peer),
                result.unit,
                f"**{_number(result.ratio)}**",
                *("" if bound is None else f"{sign} {bound:g}" for bound in (entry.goal, entry.aim)),
            )
        )
    return table(("benchmark", "ours", "peer", "unit", "ratio", "goal", "aim"), rows)


def _section(name: str, entry: Entry, result: Result) -> str:
    blocks = [f"## {entry.title}\n", f"`make bench-{name.replace('_', '-')}`. {entry.about}\n"]
    if result.repeats:
        rows = [
            (contender, f"**{_number(middle(list(values)))}**", ", ".join(map(_number, values)))
            for contender, values in result.repeats.items()
        ]
        blocks.append(table((result.unit, "median", "all"), rows))
    if result.parts:
        plot = PAGE.with_name(f"benchmarks-{name.replace('_', '-')}.svg")
        plots.parts(result.parts, result.parts_unit, plot)
        blocks.append(f"![Where the time goes]({plot.name})\n")
        blocks.append(_partstable(result.parts, result.parts_unit))
    if result.facts:
        blocks.append(table(("", ""), list(result.facts.items())))
    versions = ", ".join(f"{package} {version}" for package, version in result.versions.items())
    blocks.append(f"Measured on {result.date}, {result.cores} cores of {result.cpu}; {versions}.\n")
    return "\n".join(blocks)


def _partstable(bars: Mapping[str, Mapping[str, float]], unit: str) -> str:
    rows = []
    for bar, parts in bars.items():
        total = sum(parts.values())
        rows += [(bar, part, _number(value), f"{100 * value / total:.1f}%") for part, value in parts.items()]
        rows.append((bar, "**all**", f"**{_number(total)}**", ""))
    return table(("", "part", unit, "share"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
