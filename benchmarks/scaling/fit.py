"""Costs of training, fitted to measured points; and what they say of each point and of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.scaling.points import Machine, Measurement, Point, point_config
from benchmarks.scaling.simulator import Costs, Training, simulate
from twhin_spark.training.planning.costs import GroupLayout
from twhin_spark.training.planning.layouts import DEALS, configured_layout
from twhin_spark.training.planning.plan import GraphSize, workload

DIM = 128
EDGES_A_CORE = 50_000_000
CORES_A_MACHINE = 16
LINK_BYTES_A_CORE = 25e9 / 8 / CORES_A_MACHINE  # of one 25 Gbit/s link, which carries store and peers alike
CORES = (2, 16, 128, 2000)
_WIDE_BATCH = 8000  # a batch that keeps 16 threads busy


def summary(points: Mapping[Point, Measurement], machine: Machine) -> dict[str, Any]:
    """Return the result: measured points with what is simulated for each, and simulated clusters."""
    rows = []
    for point, measurement in points.items():
        costs = fit(points, machine, negatives=point.negatives, batch_size=point.batch_size)
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
    wide = fit(points, machine, batch_size=_WIDE_BATCH)
    simulated = [
        {"cores": cores, "edges_an_entity": density, "core_seconds_per_edge": core_seconds(cores, wide, density)}
        for density in (100, 10)
        for cores in CORES
    ]
    large = 10_000_000
    alone, threads = points[Point(large)], points[Point(large, threads=2)]
    one, two = (points[Point(large, groups=4, lanes=n, executors=n)] for n in (1, 2))
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
        "two_processes_over_one": 2 * machine.alone / machine.beside,  # of the kernels
        "two_executors_over_one": one.seconds_per_edge / two.seconds_per_edge,
    }


def fit(
    measured: Mapping[Point, Measurement], machine: Machine, *, negatives: int = 500, batch_size: int = 1000
) -> Costs:
    """Fit the costs of edges with some negatives in batches of some size to the points that are not held back."""
    large = 10_000_000
    one, two = (measured[Point(large, negatives=negatives, batch_size=batch_size, threads=n)] for n in (1, 2))
    pair, small = measured[Point(large, groups=4, lanes=2)], measured[Point(1_000_000)]
    edge, beside = one.kernel / one.edges, machine.beside / machine.alone
    # Two busy threads slow each other down as two processes do; the rest of what is missing to half the time is serial.
    serial = max(0.0, 2 * two.kernel / two.edges / (edge * beside) - 1)
    walk = measured[Point(large, groups=4, threads=2)]
    unpack = walk.edge / walk.edges
    relay = small.seconds_per_edge * small.edges - small.kernel - small.edge - small.read - small.write
    costs = Costs(
        edge_seconds=edge,
        serial=serial,
        beside=beside,
        unpack_seconds=unpack,
        send_seconds=max(one.edge / one.edges - unpack, 0.0),
        state_bytes=one.state_bytes_per_edge * one.edges / (one.read + one.write),
        message_seconds=0.0,
        relay_seconds=max(relay, 0.0),
        task_seconds=machine.empty_task,
        spread=pair.spread,
    )
    wall = pair.seconds_per_edge * pair.edges
    training = _training(Point(large, groups=4, lanes=2))
    messages = training.layout.rounds * training.layout.slices
    return replace(costs, message_seconds=max((wall - simulate(training, costs)) / messages, 0.0))


def predicted(point: Point, costs: Costs) -> float:
    """Return the simulated seconds of an edge of a point."""
    return simulate(_training(point), costs) / point.edges


def core_seconds(cores: int, costs: Costs, edges_an_entity: int) -> float:
    """Return the simulated core-seconds of an edge on machines of 16 cores, or on a smaller one."""
    of_machine = min(cores, CORES_A_MACHINE)
    machines = cores // of_machine
    edges = cores * EDGES_A_CORE
    layout = configured_layout(DEALS * 2 * machines, 1 if machines == 1 else 2 * machines, machines)
    point = Point(edges, batch_size=_WIDE_BATCH, edges_an_entity=edges_an_entity)
    training = Training(
        edges=edges,
        entities=point.entities,
        dim=DIM,
        layout=layout,
        lanes=machines,
        threads=of_machine,
        rounds_a_relay=_rounds_a_relay(point, layout, of_machine),
        cores_busy=True,
        link_bytes=LINK_BYTES_A_CORE * of_machine,
    )
    return simulate(training, costs) * cores / edges


def _training(point: Point) -> Training:
    layout = configured_layout(point_config(point).graph.partitions, point.groups, point.lanes)
    return Training(
        edges=point.edges,
        entities=point.entities,
        dim=DIM,
        layout=layout,
        lanes=point.lanes,
        threads=point.threads,
        rounds_a_relay=_rounds_a_relay(point, layout, point.threads),
        cores_busy=point.lanes * point.threads > 1,
    )


def _rounds_a_relay(point: Point, layout: GroupLayout, threads: int) -> int:
    config = point_config(point)
    work = workload(config, GraphSize(point.entities, point.edges))
    return work.rounds_a_commit(layout, config.training.commit_seconds, threads)
