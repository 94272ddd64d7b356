"""engine_overhead and small_graph_overhead: what the training stage adds to its kernels."""

from __future__ import annotations

from statistics import median

from benchmarks.catalogue import AIMED_OVERHEAD
from benchmarks.command_line import fb15k_config, planted_config, sizes
from benchmarks.console import progress
from benchmarks.paths import BUILD
from benchmarks.planted import PlantedGraph
from benchmarks.results import Result, own_versions
from benchmarks.training_stage import KERNELS, StageTiming, train_and_time


def engine_overhead(graph: PlantedGraph, dim: int, negatives: int, repeats: int) -> Result:
    """The share of an epoch in which a slot runs no kernel, `repeats` times."""
    name = "engine_overhead"
    config = planted_config(graph, sizes(dim, negatives))
    trained = []
    for repeat in range(repeats):
        progress(f"{name}: repeat {repeat + 1} of {repeats}")
        trained.append(train_and_time(config))
    shares = [1 - one.kernel_seconds / one.seconds for one in trained]
    ours = median(shares)
    return Result(
        name,
        ours,
        AIMED_OVERHEAD,
        ours / AIMED_OVERHEAD,
        "share of wall time",
        own_versions(),
        {"ours": shares},
        _parts("an epoch", trained),
        {"the graph": f"{graph.entities:,} entities, {graph.edges:,} edges", **_facts(trained[-1])},
    )


def small_graph_overhead(epochs: int, repeats: int) -> Result:
    """Wall and kernel seconds of training FB15k-237, `repeats` times."""
    name = "small_graph_overhead"
    folder = BUILD / "fb15k-237"
    config = fb15k_config(folder, sizes(100, 50, epochs))
    trained = []
    for repeat in range(repeats):
        progress(f"{name}: repeat {repeat + 1} of {repeats}")
        trained.append(train_and_time(config))
    seconds = {
        "ours, wall": [one.stage_seconds for one in trained],
        "ours, kernels": [one.kernel_seconds for one in trained],
    }
    wall, kernels = (median(values) for values in seconds.values())
    parts = _parts(f"{epochs} epochs", trained)
    parts[f"{epochs} epochs"]["plan and first vectors"] = median([one.stage_seconds - one.seconds for one in trained])
    return Result(name, wall, kernels, wall / kernels, "s", own_versions(), seconds, parts, _facts(trained[-1]))


def _parts(bar: str, trained: list[StageTiming]) -> dict[str, dict[str, float]]:
    return {bar: {part: median([one.parts[part] for one in trained]) for part in trained[0].parts}}


def _facts(trained: StageTiming) -> dict[str, str]:
    tasks = sorted(set(trained.tasks))
    return {
        "plan": trained.plan,
        "rounds": f"{len(trained.tasks)}, of {' or '.join(map(str, tasks))} tasks",
        "edges trained": f"{trained.edges:,}",
        "edges a second, by the wall": f"{trained.edges / trained.seconds:,.0f}",
        f"edges a second, in {KERNELS}": f"{trained.edges / trained.kernel_seconds:,.0f}",
    }
