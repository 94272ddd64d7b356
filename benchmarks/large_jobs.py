"""graph_build and whole_job: from a file of edges to the graph's tables, and to published vectors."""

from __future__ import annotations

import shutil
from statistics import median

from benchmarks import pytorch_biggraph as pbg
from benchmarks.command_line import planted_config, run_job, sizes
from benchmarks.console import progress
from benchmarks.extrapolation import PeerSeconds, scale, smaller_graphs
from benchmarks.planted import RELATIONS, PlantedGraph
from benchmarks.results import Result, own_versions

_DIM, _NEGATIVES = 100, 50
_PEER_RELATIONS = tuple(pbg.PeerRelation(name, source, target) for name, (source, target, _) in RELATIONS.items())
_PEER_SETTINGS = pbg.PeerSettings(_PEER_RELATIONS, False, "softmax", _DIM, _NEGATIVES, _NEGATIVES, epochs=1)


def graph_build(graph: PlantedGraph, repeats: int, peer_share: float) -> Result:
    """Edges a second of building the graph, ours and the peer's, one after the other, `repeats` times.

    A graph of a tenth, once, tells what starting and committing take from what every edge takes.
    """
    name = "graph_build"
    pbg.install()
    peers = smaller_graphs(graph, peer_share)
    ours: list[float] = []
    theirs: list[PeerSeconds] = []
    for repeat in range(repeats):
        progress(f"{name}: repeat {repeat + 1} of {repeats}")
        ours.append(_run("build-graph", graph)[0])
        theirs.append(scale(graph, peers, _import))
    rates = {
        "ours": [graph.edges / seconds for seconds in ours],
        "PyTorch-BigGraph": [graph.edges / one.seconds for one in theirs],
    }
    own, peer = (median(values) for values in rates.values())
    facts = {
        **_graph_facts(graph),
        "PyTorch-BigGraph": "; ".join(map(str, theirs)),
        **_further_edges(graph, median(ours), theirs),
    }
    return Result(name, own, peer, own / peer, "edges/s", _versions(), rates, facts=facts)


def _further_edges(graph: PlantedGraph, ours: float, theirs: list[PeerSeconds]) -> dict[str, str]:
    """Edges a second beyond a tenth of the graph, given our seconds and the peer's of the whole."""
    tenth, _ = smaller_graphs(graph, 0.1)
    measured = [dict(one.points).get(tenth.edges) for one in theirs]  # by default the peer's line goes through it
    imported = [seconds for seconds in measured if seconds is not None] or [_import(tenth)]
    seconds = {"ours": _run("build-graph", tenth)[0], "PyTorch-BigGraph": median(imported)}
    whole = {"ours": ours, "PyTorch-BigGraph": median([one.seconds for one in theirs])}
    more = {name: whole[name] - seconds[name] for name in whole}
    if min(more.values()) > 0:
        rates = {name: (graph.edges - tenth.edges) / taken for name, taken in more.items()}
        told = ", ".join(f"{name} {rate:,.0f} edges/s" for name, rate in rates.items())
        told += f": {rates['ours'] / rates['PyTorch-BigGraph']:.1f} times"
    else:
        told = "too few to take longer than a tenth of them"
    return {
        f"a graph of {tenth.edges:,} edges": ", ".join(f"{name} {taken:.1f} s" for name, taken in seconds.items()),
        "each edge more": told,
    }


def whole_job(graph: PlantedGraph, repeats: int, peer_share: float) -> Result:
    """Seconds of the whole job, ours and the peer's, one after the other, `repeats` times."""
    name = "whole_job"
    pbg.install()
    peers = smaller_graphs(graph, peer_share)
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, PeerSeconds]] = []
    for repeat in range(repeats):
        progress(f"{name}: repeat {repeat + 1} of {repeats}")
        seconds, stages = _run("pipeline", graph)
        ours.append({"start": seconds - sum(stages.values()), **stages})
        measured = [_peer_stages(one) for one in peers]
        theirs.append({stage: _scaled(graph, peers, stage, measured) for stage in measured[0]})
    whole = {
        "ours": [sum(one.values()) for one in ours],
        "PyTorch-BigGraph": [sum(stage.seconds for stage in one.values()) for one in theirs],
    }
    own, peer = (median(values) for values in whole.values())
    parts = {
        "ours": {part: median([one[part] for one in ours]) for part in ours[0]},
        "PyTorch-BigGraph": {stage: median([one[stage].seconds for one in theirs]) for stage in theirs[0]},
    }
    facts = {
        **_graph_facts(graph),
        **{f"PyTorch-BigGraph, {stage}": str(scaled) for stage, scaled in theirs[-1].items()},
        "edges a second, ours": f"{graph.edges / own:,.0f}",
        "edges a second, PyTorch-BigGraph": f"{graph.edges / peer:,.0f}",
    }
    return Result(name, own, peer, peer / own, "s", _versions(), whole, parts, facts)


def _run(job: str, graph: PlantedGraph) -> tuple[float, dict[str, float]]:
    """Seconds of a job's process and of its stages, from an empty output folder."""
    config = planted_config(graph, sizes(_DIM, _NEGATIVES))
    shutil.rmtree(graph.folder / "twhin-spark", ignore_errors=True)
    return run_job(job, config)


def _import(graph: PlantedGraph) -> float:
    """Seconds of the peer's import."""
    return _project(graph).import_edges(_PEER_SETTINGS, graph.file())


def _peer_stages(graph: PlantedGraph) -> dict[str, float]:
    """Seconds of import, train and export."""
    project = _project(graph)
    return {
        "import": _import(graph),
        "train (PyTorch-BigGraph)": project.train(_PEER_SETTINGS)[0],
        "export": project.export(),
    }


def _scaled(graph: PlantedGraph, peers: list[PlantedGraph], stage: str, stages: list[dict[str, float]]) -> PeerSeconds:
    measured = dict(zip(peers, stages, strict=True))
    return scale(graph, peers, lambda one: measured[one][stage])


def _project(graph: PlantedGraph) -> pbg.Project:
    return pbg.Project(graph.folder / "pbg")


def _graph_facts(graph: PlantedGraph) -> dict[str, str]:
    return {"the graph": f"{graph.entities:,} entities of 2 types, {graph.edges:,} distinct edges of 3 relations"}


def _versions() -> dict[str, str]:
    return {**own_versions(), **pbg.versions()}
