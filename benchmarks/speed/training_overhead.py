"""The benchmarks engine_overhead and small_graph_overhead: time that the training stage adds to its kernels."""

from __future__ import annotations

from statistics import median

from benchmarks.console import progress
from benchmarks.machine import installed_versions
from benchmarks.paths import BUILD
from benchmarks.speed.catalogue import AIMED_OVERHEAD
from benchmarks.speed.configs import fb15k_config, planted_config, training_options
from benchmarks.speed.planted import PlantedGraph
from benchmarks.speed.records import Result
from benchmarks.speed.training_stage import KERNELS, StageTiming, train_and_time


def engine_overhead(graph: PlantedGraph, dim: int, negatives: int, repeats: int) -> Result:
    """Measure the share of an epoch in which a task slot runs no kernel, `repeats` times."""
    name = "engine_overhead"
    config = planted_config(graph, training_options(dim, negatives))
    timings = []
    for repeat in range(repeats):
        progress(f"{name}: repeat {repeat + 1} of {repeats}")
        timings.append(train_and_time(config))
    shares = [1 - timing.kernel_seconds / timing.seconds for timing in timings]
    ours = median(shares)
    return Result(
        name,
        ours,
        AIMED_OVERHEAD,
        ours / AIMED_OVERHEAD,
        "share of wall time",
        installed_versions(),
        {"ours": shares},
        _parts("an epoch", timings),
        {"the graph": f"{graph.entities:,} entities, {graph.edges:,} edges", **_facts(timings[-1])},
    )


def small_graph_overhead(epochs: int, repeats: int) -> Result:
    """Measure the wall and kernel seconds of training FB15k-237, `repeats` times."""
    name = "small_graph_overhead"
    folder = BUILD / "fb15k-237"
    config = fb15k_config(folder, training_options(100, 50, epochs))
    timings = []
    for repeat in range(repeats):
        progress(f"{name}: repeat {repeat + 1} of {repeats}")
        timings.append(train_and_time(config))
    seconds = {
        "ours, wall": [timing.stage_seconds for timing in timings],
        "ours, kernels": [timing.kernel_seconds for timing in timings],
    }
    wall, kernels = (median(values) for values in seconds.values())
    parts = _parts(f"{epochs} epochs", timings)
    parts[f"{epochs} epochs"]["plan and first vectors"] = median(
        [timing.stage_seconds - timing.seconds for timing in timings]
    )
    return Result(name, wall, kernels, wall / kernels, "s", installed_versions(), seconds, parts, _facts(timings[-1]))


def _parts(bar: str, timings: list[StageTiming]) -> dict[str, dict[str, float]]:
    return {bar: {part: median([timing.parts[part] for timing in timings]) for part in timings[0].parts}}


def _facts(timing: StageTiming) -> dict[str, str]:
    tasks = sorted(set(timing.tasks))
    return {
        "plan": timing.plan,
        "rounds": f"{len(timing.tasks)}, of {' or '.join(map(str, tasks))} tasks",
        "edges trained": f"{timing.edges:,}",
        "edges a second, by the wall": f"{timing.edges / timing.seconds:,.0f}",
        f"edges a second, in {KERNELS}": f"{timing.edges / timing.kernel_seconds:,.0f}",
    }
