"""README's table of results, generated from the records: `python -m benchmarks.readme_results` updates it.

The table stands between the lines `<!-- results:begin -->` and `<!-- results:end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from benchmarks.markdown import table
from benchmarks.paths import ROOT
from benchmarks.quality.page import final_runs, mean_metrics, mean_peers
from benchmarks.quality.records import Run, current_runs, load_runs
from benchmarks.speed.records import Result, load

README = ROOT / "README.md"
BEGIN, END = "<!-- results:begin -->\n", "<!-- results:end -->\n"
_PEER = "PyTorch-BigGraph"


@dataclass(frozen=True)
class QualityRow:
    """A data set in the table.

    data: the name of the data set.
    metrics: names in a record's `metrics`.
    peers: by label, names in a record's `peers` of the same metrics.
    ablation: the name of an ablation to show, as it ends the names in a record's `metrics`.
    """

    label: str
    data: str
    metrics: Sequence[str]
    peers: Mapping[str, Sequence[str]]
    ablation: str = ""


@dataclass(frozen=True)
class SpeedRow:
    """A benchmark in the table; {edges} in its label is the number of edges of its graph."""

    label: str
    benchmark: str


def _peers(metrics: Sequence[str], **names: str) -> dict[str, tuple[str, ...]]:
    """Name the metrics of peers, given each peer's name in the records by its label."""
    return {label.replace("_", "-"): tuple(f"{name} {metric}" for metric in metrics) for label, name in names.items()}


_SHOWN = {"mrr": "filtered MRR"}  # metrics whose names in the records are not those of the literature
_BOTH = ("recall@20", "ndcg@20")
QUALITY = (
    QualityRow(
        "FB15k-237, ComplEx",
        "fb15k-237",
        ("mrr",),
        {"LibKGE's ComplEx": ["LibKGE ComplEx"], "its DistMult": ["LibKGE DistMult"]},
    ),
    QualityRow(
        "FB15k-237, translation",
        "fb15k-237-translation",
        ("mrr",),
        {"LibKGE's TransE": ["LibKGE TransE"], "GraphVite's": ["GraphVite TransE"]},
    ),
    QualityRow(
        "Gowalla, next places",
        "gowalla",
        _BOTH,
        _peers(_BOTH, MF_BPR="MF-BPR", LightGCN="LightGCN", SimpleX="SimpleX"),
    ),
    QualityRow(
        "Last.fm, artists",
        "lastfm",
        _BOTH[:1],
        _peers(_BOTH[:1], ALS="als", PyTorch_BigGraph=_PEER, popularity="popularity"),
        "listens alone",
    ),
    QualityRow(
        "Higgs, next retweets",
        "higgs",
        ("recall@10",),
        _peers(("recall@10",), ALS="als", PyTorch_BigGraph=_PEER, popularity="popularity"),
        "retweets alone",
    ),
)
SPEED = (
    SpeedRow("Training FB15k-237, 128 dimensions, 500 + 500 negatives", "kernel_d128_500_500"),
    SpeedRow("Training FB15k-237, 100 dimensions, 50 + 50 negatives", "kernel_d100_50_50"),
    SpeedRow("Building a graph of {edges} edges", "graph_build"),
    SpeedRow("From logs of {edges} edges to published vectors", "whole_job"),
)
_TEXT = """
Quality is the mean of {seeds} seeds; [quality](docs/results/quality.md) lists the seeds, protocols and settings.
"Alone" means our model trained on this relation alone. Speed was measured on {cores} cores of {cpu}{note}.
More: [benchmarks](docs/results/benchmarks.md), [retrieval](docs/results/retrieval.md),
[serving](docs/results/serving.md).
"""


def results_text(runs: Sequence[Run], results: Mapping[str, Result]) -> str:
    """Return the table and its notes in Markdown."""
    head = ("", "measure", "twhin-spark", "others")
    rows = [_quality_row(row, final_runs(current_runs(runs, row.data))) for row in QUALITY]
    rows += [_speed_row(row, results[row.benchmark]) for row in SPEED]
    whole = results["whole_job"]
    extrapolated = any("not run on" in fact for fact in whole.facts.values())
    note = f";\n{_PEER}'s figures in the last two rows are extrapolated from smaller graphs" if extrapolated else ""
    seeds = min(len(final_runs(current_runs(runs, row.data))) for row in QUALITY)
    return table(head, rows) + _TEXT.format(seeds=seeds, cores=whole.cores, cpu=whole.cpu, note=note)


def with_results(readme: str, runs: Sequence[Run], results: Mapping[str, Result]) -> str:
    """Return README's text with the generated part replaced."""
    if not (BEGIN in readme and END in readme):
        raise SystemExit(f"README.md must contain the lines {BEGIN.strip()} and {END.strip()}")
    before, _, rest = readme.partition(BEGIN)
    return before + BEGIN + results_text(runs, results) + END + rest.partition(END)[2]


def _quality_row(row: QualityRow, final: Sequence[Run]) -> tuple[str, ...]:
    metrics, peers = mean_metrics(final), mean_peers(row.data, final)
    others = [f"{label} {_values(peers, names)}" for label, names in row.peers.items()]
    if row.ablation:
        others.append(f"{row.ablation} {_values(metrics, [f'{metric}, {row.ablation}' for metric in row.metrics])}")
    measure = ", ".join(_SHOWN.get(metric, metric) for metric in row.metrics)
    return row.label, measure, f"**{_values(metrics, row.metrics)}**", "; ".join(others)


def _values(figures: Mapping[str, float], names: Sequence[str]) -> str:
    """Return figures as .345; records have four digits, and a last 5 is rounded up."""
    return ", ".join(f"{figures[name] + 1e-9:.3f}".removeprefix("0") for name in names)


def _speed_row(row: SpeedRow, result: Result) -> tuple[str, ...]:
    edges = re.search(r"([\d,]+) distinct edges", result.facts.get("the graph", ""))
    ours, peer = (f"{value:,.0f}" for value in (result.ours, result.peer))
    label = row.label.format(edges=edges[1] if edges else "")
    return label, result.unit, f"**{ours}**", f"{_PEER} {peer} (ours is {result.ratio:.1f} times as fast)"


def update_readme() -> None:
    """Update the generated part of README."""
    README.write_text(with_results(README.read_text(), load_runs(), load()))


if __name__ == "__main__":
    click.command(context_settings={"help_option_names": ["-h", "--help"]})(update_readme)()
