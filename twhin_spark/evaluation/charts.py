"""Charts of the report, each an SVG image as a data URI, drawn by Matplotlib on the driver."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from twhin_spark.evaluation.report_summary import Projection
from twhin_spark.kernels.arrays import Integers

INK, FAINT, GRID = "#1d2433", "#5f6b7e", "#e4e8ee"
MODEL_COLOURS = {"twhin": "#2458a8", "current": "#8fb0dd", "als": "#d99a3d", "popularity": "#b4bcc8"}
COLOURS = ("#2458a8", "#d0703c", "#3a8f6f", "#8a5aa8", "#b8912a", "#4a9cc0", "#b04a67", "#6d7684")

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # Text stays text, in the fonts of the reader's browser.
    "svg.hashsalt": "twhin-spark",  # The same data gives the same bytes.
    "text.parse_math": False,  # A name may contain a $.
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto"
_WIDTH, _HEIGHT = 5.2, 3.5  # inches; text stays legible on a phone, at half the size


def loss_chart(loss: Mapping[str, Sequence[float]]) -> str:
    """Draw the mean loss by epoch, a line for each relation."""

    def draw(axes: Axes) -> None:
        for relation, colour in _coloured(loss):
            values = loss[relation]
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, label=relation, linewidth=1.8, marker="o", markersize=3)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=0)
        _legend(axes)

    return _image(draw)


def metric_chart(values: Mapping[str, Mapping[str, float]]) -> str:
    """Draw one metric (by relation, then model): a group of bars for each relation."""
    models = [model for model in MODEL_COLOURS if any(model in of_model for of_model in values.values())]

    def draw(axes: Axes) -> None:
        middles = np.arange(len(values))[::-1] * (len(models) + 1.0)
        for number, model in enumerate(models):
            positions = middles + (len(models) - 1) / 2 - number
            lengths = [of_model[model] for of_model in values.values()]
            bars = axes.barh(positions, lengths, height=0.88, color=MODEL_COLOURS[model], label=model)
            axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=9, color=FAINT)
        axes.set_yticks(middles, list(values), color=INK)
        axes.margins(x=0.16)
        axes.grid(visible=False, axis="y")
        _legend(axes)

    return _image(draw, height=max(_HEIGHT, 0.9 + 0.26 * (len(models) + 1) * len(values)))


def degree_chart(degrees: Mapping[str, tuple[Integers, Integers]]) -> str:
    """Draw the share of each type's entities that have x training edges or more, on logarithmic axes.

    Parameters
    ----------
    degrees
        By entity type: the degrees that occur, ascending, and the number of entities with each.
    """

    def draw(axes: Axes) -> None:
        for entity_type, colour in _coloured(degrees):
            degree, count = degrees[entity_type]
            share = np.cumsum(count[::-1])[::-1] / count.sum()
            axes.plot(degree, share, color=colour, label=entity_type, linewidth=1.8, drawstyle="steps-pre")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g}%"))
        axes.set_xlabel("training edges, at least")
        _legend(axes)

    return _image(draw)


def histogram_chart(histograms: Mapping[str, Sequence[int]]) -> str:
    """Draw the shares of values in equal parts of 0 to 2, a line for each name; "NAME, rotated" is dashed."""

    def draw(axes: Axes) -> None:
        colours = dict(_coloured(dict.fromkeys(name.partition(",")[0] for name in histograms)))
        for name, counts in histograms.items():
            style = "--" if "," in name else "-"
            share = np.array(counts) / max(sum(counts), 1)
            edges = np.linspace(0, 2, len(counts) + 1)
            axes.stairs(share, edges, color=colours[name.partition(",")[0]], label=name, linewidth=1.6, linestyle=style)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g}%"))
        _legend(axes)

    return _image(draw)


def projection_chart(projection: Projection) -> str:
    """Draw entities on the two principal axes of their vectors, coloured by type."""

    def draw(axes: Axes) -> None:
        for entity_type, colour in _coloured(projection.points):
            x, y = projection.points[entity_type].T
            axes.scatter(x, y, s=6, color=colour, alpha=0.45, linewidths=0, label=entity_type, rasterized=True)
        axes.set_xlabel(f"first axis: {projection.share[0]:.0%} of the variance")
        axes.set_ylabel(f"second axis: {projection.share[1]:.0%}")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        _legend(axes)

    return _image(draw, height=4.4)


def _legend(axes: Axes) -> None:
    """Add the names above the axes, so that they cover no data."""
    legend = axes.figure.legend(loc="outside upper left", ncols=4, markerscale=2, handlelength=1.2, columnspacing=1.4)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def _coloured(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    return zip(names, cycle(COLOURS), strict=False)


def _image(draw: Callable[[Axes], None], height: float = _HEIGHT) -> str:
    """Draw on new axes and return the SVG image as a data URI."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Matplotlib measures text in its own font, which lacks letters that the browser's fonts have.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        image = io.StringIO()
        figure.savefig(image, format="svg", dpi=200, transparent=True, metadata={"Date": None})
    svg = image.getvalue().replace("'DejaVu Sans'", _FONTS)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
