"""Costs of training, fitted to measured points; and what they say of each point and of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.scaling.points import Measurement, Point
from benchmarks.scaling.simulator import Costs, Training, simulate
from twhin_spark.training.planning.layouts import configured_layout

DIM = 128
PARTITIONS = 256
EDGES_A_CORE = 50_000_000
CORES_A_MACHINE = 16
LINK_BYTES_A_CORE = 25e9 / 8 / CORES_A_MACHINE  # of one 25 Gbit/s link, which carries store and peers alike
CORES = (2, 16, 128, 2000)
_WIDE_BATCH = 8000  # a batch that keeps 16 threads busy


def summary(points: dict[Point, Measurement]) -> dict[str, Any]:
    """Return the result: measured points with what is simulated for each, and simulated clusters."""
    rows = []
    for point, measurement in points.items():
        costs = fit(points, negatives=point.negatives, batch_size=point.batch_size)
        rows.append(
            {
                "edges": point.edges,
                "entities": point.entities,
                "groups": point.groups,
                "threads": point.threads,
                "lanes": point.lanes,
                "executors": point.executors,
                "negatives": point.negatives,
                "batch_size": point.batch_size,
                "held_back": point.held_back,
                "seconds_per_edge": measurement.seconds_per_edge,
                "state_bytes_per_edge": measurement.state_bytes_per_edge,
                "peak_gb": measurement.peak_gb,
                "simulated_seconds_per_edge": predicted(point, costs),
            }
        )
    wide = fit(points, batch_size=_WIDE_BATCH)
    simulated = [
        {"cores": cores, "edges_an_entity": density, "core_seconds_per_edge": core_seconds(cores, wide, density)}
        for density in (100, 10)
        for cores in CORES
    ]
    large = 10_000_000
    alone, threads = points[Point(large)], points[Point(large, threads=2)]
    lanes, one, two = (points[Point(large, groups=4, lanes=n, executors=e)] for n, e in ((2, 0), (1, 1), (2, 2)))
    by_cores = {(row["cores"], row["edges_an_entity"]): row["core_seconds_per_edge"] for row in simulated}
    errors = [abs(row["simulated_seconds_per_edge"] / row["seconds_per_edge"] - 1) for row in rows]
    return {
        "name": "scaling",
        "points": rows,
        "simulated": simulated,
        "growth": by_cores[2000, 100] / by_cores[2, 100],
        "growth_10_edges_an_entity": by_cores[2000, 10] / by_cores[2, 10],
        "worst_error": max(errors),
        "two_threads_over_one": alone.seconds_per_edge / threads.seconds_per_edge,
        "two_processes_over_one": 2 * (alone.kernel / alone.edges) / (lanes.kernel / lanes.edges),  # of the kernels
        "two_executors_over_one": one.seconds_per_edge / two.seconds_per_edge,
    }


def fit(measured: Mapping[Point, Measurement], *, negatives: int = 500, batch_size: int = 1000) -> Costs:
    """Fit the costs of edges with some negatives in batches of some size to the points that are not held back."""
    large = 10_000_000
    one, two = (measured[Point(large, negatives=negatives, batch_size=batch_size, threads=n)] for n in (1, 2))
    pair = measured[Point(large, groups=4, lanes=2)]
    walk = measured[Point(large, groups=4, threads=2)]
    small = measured[Point(1_000_000)]
    edge = one.kernel / one.edges
    beside = pair.kernel / pair.edges / (measured[Point(large)].kernel / measured[Point(large)].edges)
    # Two busy threads slow each other down as two tasks do; the rest of what is missing to half the time is serial.
    serial = max(0.0, 2 * two.kernel / two.edges / (edge * beside) - 1)
    relay = small.seconds_per_edge * small.edges - small.kernel - small.edge - small.read - small.write
    moved = walk.state_bytes_per_edge * walk.edges
    costs = Costs(
        edge_seconds=edge,
        serial=serial,
        beside=beside,
        unpack_seconds=one.edge / one.edges,
        state_bytes=moved / (walk.read + walk.write) / 2,
        message_seconds=0.0,
        relay_seconds=max(relay, 0.0),
        task_seconds=pair.empty_task,
        spread=pair.spread,
    )
    wall = pair.seconds_per_edge * pair.edges
    explained = simulate(_training(Point(large, groups=4, lanes=2)), costs)
    return replace(costs, message_seconds=max((wall - explained) / (pair.rounds * 3), 0.0))


def predicted(point: Point, costs: Costs) -> float:
    """Return the simulated seconds of an edge of a point."""
    return simulate(_training(point), costs) / point.edges


def core_seconds(cores: int, costs: Costs, edges_an_entity: int) -> float:
    """Return the simulated core-seconds of an edge on machines of 16 cores, or on a smaller one."""
    of_machine = min(cores, CORES_A_MACHINE)
    machines = cores // of_machine
    edges = cores * EDGES_A_CORE
    training = Training(
        edges=edges,
        entities=edges // edges_an_entity,
        dim=DIM,
        groups=1 if machines == 1 else 2 * machines,
        seats=machines,
        slices=1 if machines == 1 else 3,
        lanes=machines,
        threads=of_machine,
        cores_busy=True,
        link_bytes=LINK_BYTES_A_CORE * of_machine,
    )
    return simulate(training, costs) * cores / edges


def _training(point: Point) -> Training:
    layout = configured_layout(PARTITIONS, point.groups, point.lanes)
    return Training(
        edges=point.edges,
        entities=point.entities,
        dim=DIM,
        groups=point.groups,
        seats=layout.tasks,
        slices=layout.slices,
        lanes=point.lanes,
        threads=point.threads,
        cores_busy=point.lanes * point.threads > 1,
    )
