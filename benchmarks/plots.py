"""The page's plots, as SVG whose text stays text: small files that differ only where the figures do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.catalogue import Benchmark
from benchmarks.results import Result

_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "twhin-spark", "font.size": 9}


def ratios(results: Sequence[tuple[Result, Benchmark]], path: Path) -> None:
    """One bar for each result, on a logarithmic scale, with its goal and its aim as marks."""
    figure = Figure(figsize=(7.5, 0.8 + 0.42 * len(results)), layout="constrained")
    axes = figure.subplots()
    for row, (result, entry) in enumerate(results):
        axes.barh(row, result.ratio, color="tab:blue", height=0.6)
        for bound, style in ((entry.goal, "-"), (entry.aim, ":")):
            if bound is not None:
                axes.plot([bound, bound], [row - 0.38, row + 0.38], color="black", linestyle=style)
    labels = [f"{one.name} ({'less' if entry.lower_is_better else 'more'} is better)" for one, entry in results]
    axes.set(yticks=range(len(results)), yticklabels=labels, xscale="log", xlabel="ratio")
    axes.invert_yaxis()
    axes.set_title("solid: goal; dotted: aim", fontsize="medium")
    save(figure, path)


def parts(bars: Mapping[str, Mapping[str, float]], unit: str, path: Path) -> None:
    """A stacked bar for each key of `bars`, in this unit of time."""
    figure = Figure(figsize=(7.5, 1.5 + 0.5 * len(bars)), layout="constrained")
    axes = figure.subplots()
    labels = list(dict.fromkeys(label for one in bars.values() for label in one))
    starts = dict.fromkeys(bars, 0.0)
    for label in labels:
        widths = [one.get(label, 0.0) for one in bars.values()]
        axes.barh(list(bars), widths, left=list(starts.values()), label=label, height=0.6)
        starts = {bar: starts[bar] + width for bar, width in zip(bars, widths, strict=True)}
    axes.set_xlabel(unit)
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=min(len(labels), 4))
    save(figure, path)


def curves(lines: Mapping[str, Mapping[str, Sequence[float]]], x: str, y: str, path: Path) -> None:
    """A line for each key of `lines`, of its values of x and y."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    for label, line in lines.items():
        axes.plot(line[x], line[y], label=label, marker=".")
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    with mpl.rc_context(_STYLE):
        figure.savefig(path, metadata={"Date": None, "Creator": None})
