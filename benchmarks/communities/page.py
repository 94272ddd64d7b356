"""The page docs/results/communities.md, and the JSON line, from the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.communities.records import Part, load
from benchmarks.markdown import table
from benchmarks.paths import PAGES

_TITLES = {
    "levels": "ours, `levels`",
    "leiden": "Leiden-CPM (igraph)",
    "metropolis": "ours, `metropolis`",
    "lpa": "label propagation (igraph)",
}
_MODELS = {
    "sparse": "communities",
    "dense": "vectors",
    "blend": "both blended",
    "item_knn": "item-kNN",
    "als": "ALS",
    "popularity": "popularity",
}
_TEXT = """\
# Communities

`make bench-communities` writes this page from `benchmarks/results/communities.json`. Each part is measured once and
then read from there. [Communities](../communities.md) explains the method.

## Planted graphs

Nodes are in communities of 20 with 20 edges each on average; the noise is the share of edges that lead to any node. The
resolution of the constant Potts model is a quarter of the density within a community. NMI is the normalised mutual
information of the communities that were found and those that were planted. The objective is that of the best of the
runs, relative to the best run of Leiden with 10 iterations; time is the median of the runs' CPU time on one core of
{cpu}, without reading the graph, and memory the peak of the whole process.
{load}

{planted}

Label propagation optimises no objective, and all nodes of a graph may end in one community. `metropolis` is the search
of SimClusters: four epochs of random moves, with weights times 10 (its α).

{identity}
{data}"""


def write_page(parts: Mapping[str, Part], folder: Path = PAGES) -> None:
    """Write the page into a folder."""
    planted = [part for name, part in parts.items() if name.startswith("planted-")]
    (folder / "communities.md").write_text(
        _TEXT.format(
            cpu=planted[0]["cpu"],
            load=_load(planted),
            planted=table(_HEAD, _planted_rows(planted)).rstrip(),
            identity=_identity(parts.get("identity")),
            data="\n".join(_data(name, parts[name]) for name in ("lastfm", "higgs") if name in parts),
        ).rstrip()
        + "\n"
    )


def summary(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Return the JSON line: the least ratio of objectives, the NMI with the largest deficit, and recalls."""
    planted = [part for name, part in parts.items() if name.startswith("planted-")]
    worst = min(planted, key=lambda part: part["methods"]["levels"]["nmi"] - part["methods"]["leiden"]["nmi"])
    largest = max(planted, key=lambda part: part["edges"])
    return {
        "name": "communities",
        "objective_ratio": round(min(_ratio(part, "levels") for part in planted), 4),
        "nmi": round(worst["methods"]["levels"]["nmi"], 4),
        "nmi_leiden": round(worst["methods"]["leiden"]["nmi"], 4),
        **{name: _recalls(parts[name]) if name in parts else None for name in ("lastfm", "higgs")},
        "edges": largest["edges"],
        "seconds": round(largest["methods"]["levels"]["seconds"], 1),
        "peer_seconds": round(largest["methods"]["leiden"]["seconds"], 1),
    }


_HEAD = ("nodes", "edges", "noise", "search", "objective / Leiden's", "NMI", "s", "peak GB", "runs")


def _planted_rows(planted: list[Part]) -> Iterator[list[str]]:
    for part in sorted(planted, key=lambda part: (part["nodes"], part["noise"])):
        for number, (method, title) in enumerate(_TITLES.items()):
            run = part["methods"][method]
            graph = [f"{part['nodes']:,}", f"{part['edges']:,}", f"{part['noise']:g}"] if not number else ["", "", ""]
            ratio = _ratio(part, method)
            yield [
                *graph, title, f"{ratio:.4f}" if ratio > 0 else "below 0", f"{run['nmi']:.4f}",
                f"{run['seconds']:.1f}", f"{run['peak_bytes'] / 1e9:.2f}", f"{run['runs']}",
            ]  # fmt: skip


def _ratio(part: Part, method: str) -> float:
    return float(part["methods"][method]["objective"] / part["methods"]["leiden"]["objective"])


def _load(planted: list[Part]) -> str:
    busiest = max(part["load"] for part in planted)
    if busiest <= 2:
        return ""
    return (
        f"The machine had other work, a load of up to {busiest:.0f} on two cores, so times are comparable within a "
        "graph and not exact."
    )


def _identity(part: Part | None) -> str:
    if part is None:
        return ""
    warm, cold = part["warm"], part["cold"]
    return (
        "## Identity\n\n"
        "A tenth of the edges of the graph of 20,000 nodes and noise .3 is replaced. A search that starts from the "
        f"communities before keeps the community of {warm['kept']:.2%} of the nodes (NMI {warm['nmi']:.4f}); one that "
        f"starts from single nodes keeps {cold['kept']:.2%} (NMI {cold['nmi']:.4f}).\n"
    )


def _data(name: str, part: Part) -> str:
    title = {"lastfm": "Last.fm, artists", "higgs": "Higgs, next retweets"}[name]
    recall = part["recall"]
    rows = [
        [label, *(f"{recall[metric][model]:.3f}" for metric in recall)]
        for model, label in _MODELS.items()
        if model in recall[f"recall@{part['k']}"]
    ]
    counts = part["counts"]
    return (
        f"## {title}\n\n"
        f"Recall of new test edges of `{part['relation']}`, by the config's settings, which were chosen on validation "
        f"edges. {counts['communities']:,} communities of {counts['producers']:,} producers, resolution "
        f"{part['resolution']:g}; {part['covered']:.1%} of the test sources have a representation.\n\n"
        + table(["", *recall], rows)
    )


def _recalls(part: Part) -> dict[str, float]:
    of_k = part["recall"][f"recall@{part['k']}"]
    return {
        **{model: round(of_k[model], 4) for model in _MODELS if model in of_k},
        "covered": round(part["covered"], 4),
    }


if __name__ == "__main__":
    write_page(load())
