"""The benchmarks graph_build and whole_job: from a file of edges to the graph's tables, and to published vectors."""

from __future__ import annotations

import shutil
from statistics import median

from benchmarks import pytorch_biggraph as pbg
from benchmarks.command_line import run_job
from benchmarks.console import progress
from benchmarks.machine import installed_versions
from benchmarks.speed.configs import planted_config, training_options
from benchmarks.speed.extrapolation import PeerSeconds, peer_seconds, smaller_graphs
from benchmarks.speed.planted import RELATIONS, PlantedGraph
from benchmarks.speed.records import Result

_DIM, _NEGATIVES = 100, 50
_PEER_RELATIONS = tuple(pbg.PeerRelation(name, source, target) for name, (source, target, _) in RELATIONS.items())
_PEER_SETTINGS = pbg.PeerSettings(_PEER_RELATIONS, False, "softmax", _DIM, _NEGATIVES, _NEGATIVES, epochs=1)


def graph_build(graph: PlantedGraph, repeats: int, peer_share: float) -> Result:
    """Measure the edges a second of building the graph, ours and the peer's, one after the other, `repeats` times.

    A graph of a tenth of the edges, built once, separates the time to start and commit from the time of each edge.
    """
    name = "graph_build"
    pbg.install()
    smaller = smaller_graphs(graph, peer_share)
    ours: list[float] = []
    theirs: list[PeerSeconds] = []
    for repeat in range(repeats):
        progress(f"{name}: repeat {repeat + 1} of {repeats}")
        ours.append(_run("build-graph", graph)[0])
        theirs.append(peer_seconds(graph, smaller, _import))
    rates = {
        "ours": [graph.edges / seconds for seconds in ours],
        "PyTorch-BigGraph": [graph.edges / peer.seconds for peer in theirs],
    }
    our_rate, peer_rate = (median(values) for values in rates.values())
    facts = {
        **_graph_facts(graph),
        "PyTorch-BigGraph": "; ".join(map(str, theirs)),
        **_further_edges(graph, median(ours), theirs),
    }
    return Result(name, our_rate, peer_rate, our_rate / peer_rate, "edges/s", _versions(), rates, facts=facts)


def _further_edges(graph: PlantedGraph, ours: float, theirs: list[PeerSeconds]) -> dict[str, str]:
    """Return the edges a second beyond a tenth of the graph, given our seconds and the peer's for the whole graph."""
    tenth, _ = smaller_graphs(graph, 0.1)
    points = [dict(peer.points).get(tenth.edges) for peer in theirs]  # by default the peer's line goes through it
    imported = [seconds for seconds in points if seconds is not None] or [_import(tenth)]
    seconds = {"ours": _run("build-graph", tenth)[0], "PyTorch-BigGraph": median(imported)}
    whole = {"ours": ours, "PyTorch-BigGraph": median([peer.seconds for peer in theirs])}
    more = {name: whole[name] - seconds[name] for name in whole}
    if min(more.values()) > 0:
        rates = {name: (graph.edges - tenth.edges) / taken for name, taken in more.items()}
        comparison = ", ".join(f"{name} {rate:,.0f} edges/s" for name, rate in rates.items())
        comparison += f": {rates['ours'] / rates['PyTorch-BigGraph']:.1f} times"
    else:
        comparison = "too few to take longer than a tenth of them"
    return {
        f"a graph of {tenth.edges:,} edges": ", ".join(f"{name} {taken:.1f} s" for name, taken in seconds.items()),
        "each edge more": comparison,
    }


def whole_job(graph: PlantedGraph, repeats: int, peer_share: float) -> Result:
    """Measure the seconds of the whole job, ours and the peer's, one after the other, `repeats` times."""
    name = "whole_job"
    pbg.install()
    smaller = smaller_graphs(graph, peer_share)
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, PeerSeconds]] = []
    for repeat in range(repeats):
        progress(f"{name}: repeat {repeat + 1} of {repeats}")
        seconds, stages = _run("pipeline", graph)
        ours.append({"start": seconds - sum(stages.values()), **stages})
        stage_seconds = {peer_graph: _peer_stages(peer_graph) for peer_graph in smaller}
        theirs.append(_extrapolated(graph, smaller, stage_seconds))
    whole = {
        "ours": [sum(stages.values()) for stages in ours],
        "PyTorch-BigGraph": [sum(stage.seconds for stage in stages.values()) for stages in theirs],
    }
    our_seconds, their_seconds = (median(values) for values in whole.values())
    parts = {
        "ours": {part: median([stages[part] for stages in ours]) for part in ours[0]},
        "PyTorch-BigGraph": {stage: median([stages[stage].seconds for stages in theirs]) for stage in theirs[0]},
    }
    facts = {
        **_graph_facts(graph),
        **{f"PyTorch-BigGraph, {stage}": str(seconds) for stage, seconds in theirs[-1].items()},
        "edges a second, ours": f"{graph.edges / our_seconds:,.0f}",
        "edges a second, PyTorch-BigGraph": f"{graph.edges / their_seconds:,.0f}",
    }
    return Result(name, our_seconds, their_seconds, their_seconds / our_seconds, "s", _versions(), whole, parts, facts)


def _run(job: str, graph: PlantedGraph) -> tuple[float, dict[str, float]]:
    """Return the seconds of a job's process and of its stages, from an empty output folder."""
    config = planted_config(graph, training_options(_DIM, _NEGATIVES))
    shutil.rmtree(graph.folder / "twhin-spark", ignore_errors=True)
    seconds, result = run_job(job, config)
    return seconds, result["stages"]


def _import(graph: PlantedGraph) -> float:
    """Return the seconds of the peer's import."""
    return _project(graph).import_edges(_PEER_SETTINGS, graph.file())


def _peer_stages(graph: PlantedGraph) -> dict[str, float]:
    """Return the peer's seconds of import, train and export."""
    project = _project(graph)
    return {
        "import": _import(graph),
        "train (PyTorch-BigGraph)": project.train(_PEER_SETTINGS)[0],
        "export": project.export(),
    }


def _extrapolated(
    graph: PlantedGraph, smaller: list[PlantedGraph], stage_seconds: dict[PlantedGraph, dict[str, float]]
) -> dict[str, PeerSeconds]:
    """Return each stage's seconds on the graph, given those on the smaller graphs."""
    return {
        stage: peer_seconds(graph, smaller, lambda measured: stage_seconds[measured][stage])  # noqa: B023 - called at once
        for stage in stage_seconds[smaller[0]]
    }


def _project(graph: PlantedGraph) -> pbg.Project:
    return pbg.Project(graph.folder / "pbg")


def _graph_facts(graph: PlantedGraph) -> dict[str, str]:
    return {"the graph": f"{graph.entities:,} entities of 2 types, {graph.edges:,} distinct edges of 3 relations"}


def _versions() -> dict[str, str]:
    return {**installed_versions(), **pbg.versions()}
