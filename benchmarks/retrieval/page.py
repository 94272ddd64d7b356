"""Write docs/results/retrieval.md and its plots from the stored measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.paths import PAGES
from benchmarks.plots import save
from benchmarks.retrieval.index_names import EXACT, OURS, PQ
from benchmarks.retrieval.mixtures import KS

AIM_RECALL, AIM_SPEED = 0.95, 20

_TEXT = """\
# Retrieval benchmarks

`make bench-retrieval` writes this page from `benchmarks/results/retrieval.json`, which contains all settings that were
tried. It trains the vectors of Higgs and Last.fm if they are missing. [Candidates](../candidates.md) explains the job.

## Exact and approximate search

All times are CPU time of one thread. An index searches for 1,000 sources at once, the exact search for 4,096; no source
is among the targets. For each index the table shows its fastest setting with a recall@10 of {aim_recall} or more, or
the setting with the highest recall if none reaches that. Bold: at least {aim_speed} times as fast as the exact search.
"4 rescored": the index proposes 4 targets for each one wanted, which are then scored exactly; that time counts. `ours`
is the index of `candidates` and `serve`. "A number more": vectors have one more number, with which Euclidean distances
have the order of inner products (Bachrach et al., 2014).

![Recall and speed](retrieval-indexes.svg)

{indexes}

`candidates` and `serve` use Faiss because it is the only one of the three libraries that keeps quantised vectors in
inverted lists: the driver and the service hold 1/16 of the vectors' bytes and 8 bytes for each id, whereas a graph
needs all of the bytes and its links. The inverted lists can also be fitted to the sources. Sources that a relation has
translated share a long direction; then neither inverted lists of directions nor a graph by inner products find the best
targets quickly.

## Product quantisation at 1/16 of the bytes

All codes are scanned, without inverted lists. The table shows the recall of 4 bits for every two numbers of a vector,
without rescoring and with exact scores for 4 or 16 proposals for each target wanted.

{codes}

## Mixtures

The candidate lists of `method: mixture` and those of the single vector, both without the edges of training. recall@k is
measured on new test edges, as [candidates](../candidates.md#recall) describes. clusters@k counts in how many of 64
clusters of the targets the first k candidates lie. cosine@k is the mean cosine of two of the first k candidates. "Half
the neighbours', 64" means `smoothing` 0.5 and `clusters` 64.

![Recall and diversity](retrieval-mixtures.svg)

{mixtures}
"""

Rows = Sequence[Mapping[str, Any]]


def write_page(measured: Mapping[str, Mapping[str, Any]], folder: Path = PAGES) -> None:
    """Write the page and its plots into a folder.

    Parameters
    ----------
    measured
        By kind ("indexes", "mixtures") and name of a part: its rows, versions, date and machine.
    folder
        An existing folder.
    """
    for kind, draw in (("indexes", _plot_indexes), ("mixtures", _plot_mixtures)):
        if measured[kind]:
            _plot(measured[kind], draw, folder / f"retrieval-{kind}.svg")
    (folder / "retrieval.md").write_text(
        _TEXT.format(
            aim_recall=AIM_RECALL,
            aim_speed=AIM_SPEED,
            indexes="\n\n".join(_sections(measured["indexes"], _index_table)),
            codes="\n".join(_code_table(measured["indexes"])),
            mixtures="\n\n".join(_sections(measured["mixtures"], _mixture_table)),
        )
    )


def _sections(parts: Mapping[str, Any], table: Callable[[Rows], Iterator[str]]) -> Iterator[str]:
    for name, part in parts.items():
        yield "\n".join([f"### {name}\n", *table(part["rows"])])
        size = f"{part['vectors']:,} targets of {part['dim']} dimensions. " if "vectors" in part else ""
        versions = ", ".join(f"{package} {number}" for package, number in part["versions"].items())
        yield f"{size}Measured on {part['date']}, {part['machine']}; {versions}."


def _index_table(rows: Rows) -> Iterator[str]:
    """Yield a line for each index: its fastest setting that reaches AIM_RECALL, or the one with the highest recall."""
    exact = {row["k"]: row for row in rows if row["index"] == EXACT}
    yield "| index | setting | recall@10 | sources/s | × exact | recall@100 | sources/s | × exact | build, s | MB |"
    yield "| --- | --- " + "| ---: " * 8 + "|"
    cells = [f"{1 / exact[k]['seconds']:,.0f} | 1" for k in (10, 100)]
    yield f"| exact | {exact[10]['share_of_sgemm']:.0%} of sgemm's speed | 1 | {cells[0]} | 1 | {cells[1]} | | |"
    for index in _names(rows):
        settings = {(row["setting"], row["proposed"], row["k"]): row for row in rows if row["index"] == index}
        tens = [row for (_, _, k), row in settings.items() if k == 10]
        enough = [row for row in tens if row["recall"] >= AIM_RECALL]
        best = min(enough, key=_seconds) if enough else max(tens, key=lambda row: float(row["recall"]))
        yield _index_line(index, best, settings.get((best["setting"], best["proposed"], 100)), exact)


def _index_line(index: str, ten: Mapping[str, Any], hundred: Mapping[str, Any] | None, exact: Mapping[int, Any]) -> str:
    cells = []
    for k, row in ((10, ten), (100, hundred)):
        if row is None:
            cells.append(" | | ")
            continue
        faster = exact[k]["seconds"] / row["seconds"]
        mark = "**" if k == 10 and row["recall"] >= AIM_RECALL and faster >= AIM_SPEED else ""
        cells.append(f"{mark}{row['recall']:.3f}{mark} | {1 / row['seconds']:,.0f} | {mark}{faster:.1f}{mark}")
    proposed = f"{ten['proposed']} rescored" if ten["proposed"] else ""
    setting = ", ".join(part for part in (ten["setting"], proposed) if part)
    return f"| {index} | {setting} | {cells[0]} | {cells[1]} | {ten['build_seconds']:.0f} | {ten['bytes'] / 1e6:.0f} |"


def _code_table(parts: Mapping[str, Any]) -> Iterator[str]:
    yield "| vectors | recall@10 | recall@100 | recall@10, 4 rescored | 16 rescored |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, part in parts.items():
        recall = {(row["k"], row["proposed"]): row["recall"] for row in part["rows"] if row["index"] == PQ}
        cells = [f"{recall[key]:.3f}" for key in ((10, 1), (100, 1), (10, 4), (10, 16))]
        yield f"| {name} | {' | '.join(cells)} |"


def _mixture_table(rows: Rows) -> Iterator[str]:
    heads = [f"{measure}@{k}" for measure in ("recall", "clusters", "cosine") for k in KS]
    yield f"| list | {' | '.join(heads)} |"
    yield "| --- " + "| ---: " * len(heads) + "|"
    for row in rows:
        cells = [
            f"{row[measure][str(k)]:{digits}}"
            for measure, digits in (("recall", ".4f"), ("clusters", ".1f"), ("similarity", ".3f"))
            for k in KS
        ]
        yield f"| {row['list']} | {' | '.join(cells)} |"


def _plot(parts: Mapping[str, Any], draw: Callable[[Axes, Rows], None], path: Path) -> None:
    """Draw a panel for each part, two in a row, with one legend."""
    lines = -(-len(parts) // 2)
    figure = Figure(figsize=(9, 0.8 + 3.2 * lines), layout="constrained")
    panels = figure.subplots(lines, 2, squeeze=False).ravel()
    for axes, (title, part) in zip(panels, parts.items(), strict=False):
        draw(axes, part["rows"])
        axes.set_title(title, fontsize="medium")
    for axes in panels[len(parts) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    for axes in panels[1:]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    save(figure, path)


def _plot_indexes(axes: Axes, rows: Rows) -> None:
    """Draw each index's settings that no other of its settings beats in both recall and speed."""
    exact = next(row["seconds"] for row in rows if row["index"] == EXACT and row["k"] == 10)
    for index in _names(rows):
        by_speed = sorted((row for row in rows if row["index"] == index and row["k"] == 10), key=_seconds)
        front = [
            row for at, row in enumerate(by_speed) if all(row["recall"] > faster["recall"] for faster in by_speed[:at])
        ]
        axes.plot(
            [exact / row["seconds"] for row in front], [row["recall"] for row in front],
            marker="o", markersize=3, linewidth=2.5 if index == OURS else 1, label=index, color=_COLOURS[index],
        )  # fmt: skip
    axes.axhline(AIM_RECALL, color="0.7", linewidth=0.8)
    axes.axvline(AIM_SPEED, color="0.7", linewidth=0.8)
    axes.set(xscale="log", xlabel="times as fast as exact", ylabel="recall@10", ylim=(0, 1.02))


def _plot_mixtures(axes: Axes, rows: Rows) -> None:
    for row in rows:
        xs, ys = ([row[measure][str(k)] for k in KS] for measure in ("similarity", "recall"))
        axes.plot(xs, ys, marker="o", markersize=4, label=row["list"])
    axes.set(xlabel="mean cosine within a list of 10, 50, 100", ylabel="recall")


def _names(rows: Rows) -> list[str]:
    return [name for name in dict.fromkeys(row["index"] for row in rows) if name != EXACT]


def _seconds(row: Mapping[str, Any]) -> float:
    return float(row["seconds"])


_COLOURS = {
    OURS: "black",
    "faiss IVF": "tab:cyan",
    PQ: "tab:purple",
    "faiss HNSW": "tab:green",
    "hnswlib HNSW": "tab:orange",
    "usearch HNSW": "tab:red",
    "faiss HNSW, a number more": "tab:olive",
}
