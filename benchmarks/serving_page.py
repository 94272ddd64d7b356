"""docs/results/serving.md and its plot, from what benchmarks/serving.py has measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.plots import save
from benchmarks.results import core_count, cpu_name

AIM_MS, AIM_MB = 10, 200


@dataclass(frozen=True)
class Load:
    """What wrk saw. Milliseconds are a request's; failed: answers that are not 2xx, and broken connections."""

    ids: int
    accept: str
    load: str
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True)
class Result:
    """What was measured.

    open_ms: to open the finished store, as a service does at its start. own_memory_mb: beyond the mapped files.
    checked: answers of 100 ids whose every vector was compared with those of the version they name, while versions were
    switched; mixed: those of them with another vector.
    """

    vectors: int
    dim: int
    open_ms: float
    own_memory_mb: int
    checked: int
    mixed: int
    loads: Sequence[Load]


_PAGE = """\
# The service under load

`make bench-serving` writes this page. {vectors:,} vectors of {dim} dimensions; {connections} connections on
loopback; the cores are shared by the service, the load (wrk) and, in the last rows, the build of a new version.

{table}

At half the peak rate the 99th percentile is {p99:g} ms for one id (aim: {aim_ms} ms or less); {failed} requests
failed in all. The process holds {own_memory_mb} MB beyond the mapped files (aim: {aim_mb} MB or less). Opening the
store took {open_ms:g} ms.

Rows `publish, rollback`: a second version is published, built, served, and rolled back meanwhile. {checked:,} answers
of 100 ids were compared meanwhile, vector by vector, with the version that they name; {mixed} had a vector of another.

![latency](serving.svg)

Measured on {date}, {cores} cores of {cpu}.
"""


def write_page(result: Result, page: Path, connections: int) -> None:
    """The table and the plot of a result."""
    heads = ("ids", "answer", "load", "requests/s", "p50, ms", "p99, ms", "failed")
    rows = [
        (load.ids, load.accept.partition("/")[2], load.load, f"{load.requests_per_second:,.0f}", f"{load.p50_ms:.2f}",
         f"{load.p99_ms:.2f}", load.failed)
        for load in result.loads
    ]  # fmt: skip
    lines = [heads, ("---:", "---", "---", "---:", "---:", "---:", "---:"), *rows]
    page.write_text(
        _PAGE.format(
            **{name: value for name, value in vars(result).items() if name != "loads"},
            connections=connections,
            table="\n".join(f"| {' | '.join(map(str, line))} |" for line in lines),
            p99=result.loads[1].p99_ms,
            failed=sum(load.failed for load in result.loads),
            aim_ms=AIM_MS,
            aim_mb=AIM_MB,
            date=datetime.now(UTC).date().isoformat(),
            cores=core_count(),
            cpu=cpu_name(),
        )
    )
    _plot(result.loads, page.with_suffix(".svg"))


def _plot(loads: Sequence[Load], path: Path) -> None:
    names = [f"{load.load}: {load.ids} id{'s' if load.ids > 1 else ''}, {load.accept.split('/')[1]}" for load in loads]
    places = np.arange(len(loads))
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(loads)), layout="constrained")
    axes = figure.subplots()
    axes.barh(places - 0.2, [load.p50_ms for load in loads], 0.4, label="50%")
    axes.barh(places + 0.2, [load.p99_ms for load in loads], 0.4, label="99%")
    axes.axvline(AIM_MS, color="grey", linestyle="--", label=f"aim of the 99% at half the peak: {AIM_MS} ms")
    axes.set(yticks=places, yticklabels=names, xlabel="milliseconds of a request", xscale="log")
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3)
    save(figure, path)
