"""Plots of the pages, as small SVG files with text as text, which differ only if the figures do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.speed.catalogue import Benchmark
from benchmarks.speed.records import Result

_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "twhin-spark", "font.size": 9}


def ratios(results: Sequence[tuple[Result, Benchmark]], path: Path) -> None:
    """Draw a bar for each result on a logarithmic scale, with marks for its goal and its aim."""
    figure = Figure(figsize=(7.5, 0.8 + 0.42 * len(results)), layout="constrained")
    axes = figure.subplots()
    for row, (result, benchmark) in enumerate(results):
        axes.barh(row, result.ratio, color="tab:blue", height=0.6)
        for bound, style in ((benchmark.goal, "-"), (benchmark.aim, ":")):
            if bound is not None:
                axes.plot([bound, bound], [row - 0.38, row + 0.38], color="black", linestyle=style)
    labels = [
        f"{result.name} ({'less' if benchmark.lower_is_better else 'more'} is better)" for result, benchmark in results
    ]
    axes.set(yticks=range(len(results)), yticklabels=labels, xscale="log", xlabel="ratio")
    axes.invert_yaxis()
    axes.set_title("solid: goal; dotted: aim", fontsize="medium")
    save(figure, path)


def parts(bars: Mapping[str, Mapping[str, float]], unit: str, path: Path) -> None:
    """Draw a stacked bar for each key of `bars`, in the given unit of time."""
    figure = Figure(figsize=(7.5, 1.5 + 0.5 * len(bars)), layout="constrained")
    axes = figure.subplots()
    labels = list(dict.fromkeys(label for bar in bars.values() for label in bar))
    starts = dict.fromkeys(bars, 0.0)
    for label in labels:
        widths = [bar.get(label, 0.0) for bar in bars.values()]
        axes.barh(list(bars), widths, left=list(starts.values()), label=label, height=0.6)
        starts = {bar: starts[bar] + width for bar, width in zip(bars, widths, strict=True)}
    axes.set_xlabel(unit)
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=min(len(labels), 4))
    save(figure, path)


def curves(lines: Mapping[str, Mapping[str, Sequence[float]]], x: str, y: str, path: Path) -> None:
    """Draw a line for each key of `lines`, of its values of x and y."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    for label, line in lines.items():
        axes.plot(line[x], line[y], label=label, marker=".")
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG without its date and creator."""
    with mpl.rc_context(_STYLE):
        figure.savefig(path, metadata={"Date": None, "Creator": None})
