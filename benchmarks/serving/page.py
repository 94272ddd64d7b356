"""Write docs/results/serving.md and its plot from the stored measurement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.machine import core_count, cpu_name, today
from benchmarks.markdown import table
from benchmarks.paths import PAGES, RECORDS
from benchmarks.plots import save
from benchmarks.speed.records import rounded

STORE = RECORDS / "serving.json"
PAGE = PAGES / "serving.md"
AIM_MS, AIM_MB = 10, 200


@dataclass(frozen=True)
class Load:
    """Measurements of one run of wrk.

    Milliseconds are those of a request. failed: the number of responses without a 2xx status and of broken connections.
    """

    ids: int
    accept: str
    load: str
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True)
class ServiceResult:
    """Measurements of the service.

    open_ms: milliseconds to open a finished store, as a service does when it starts.
    own_memory_mb: memory of the process beyond the mapped files.
    checked: responses to requests for 100 ids that were compared, vector by vector, with the version that they name,
        while versions were switched.
    mixed: the number of these responses that contain a vector of another version.
    """

    vectors: int
    dim: int
    open_ms: float
    own_memory_mb: int
    checked: int
    mixed: int
    loads: Sequence[Load]
    connections: int
    date: str = field(default_factory=today)
    cpu: str = field(default_factory=cpu_name)
    cores: int = field(default_factory=core_count)


_PAGE = """\
# The service under load

`make bench-serving` writes this page; its measurements are in `benchmarks/results/serving.json`. The service holds
{vectors:,} vectors of {dim} dimensions and answers on {connections} connections on loopback. The service, the load
generator (wrk) and, in the last rows, the build of a new version share the cores.

{table}
At half the peak rate the 99th percentile is {p99:g} ms for one id (aim: {aim_ms} ms or less). {failed} requests failed
in all. The process holds {own_memory_mb} MB beyond the mapped files (aim: {aim_mb} MB or less). Opening the store took
{open_ms:g} ms.

During the rows `publish, rollback` a second version is published, built, served and rolled back. Meanwhile {checked:,}
responses with 100 ids each were compared, vector by vector, with the version that they name; {mixed} of them contained
a vector of another version.

![Latency](serving.svg)

Measured on {date}, {cores} cores of {cpu}.
"""


def store_result(result: ServiceResult) -> None:
    """Write a result to the store, in place of the earlier one."""
    STORE.write_text(json.dumps(rounded(asdict(result)), indent=1) + "\n")


def load_result() -> ServiceResult:
    """Read the stored result."""
    fields = json.loads(STORE.read_text())
    return ServiceResult(**{**fields, "loads": [Load(**load) for load in fields["loads"]]})


def write_page(result: ServiceResult, page: Path = PAGE) -> None:
    """Write the page of a result, and its plot beside it."""
    heads = ("ids", "answer", "load", "requests/s", "p50, ms", "p99, ms", "failed")
    rows = [
        (str(load.ids), load.accept.partition("/")[2], load.load, f"{load.requests_per_second:,.0f}",
         f"{load.p50_ms:.2f}", f"{load.p99_ms:.2f}", str(load.failed))
        for load in result.loads
    ]  # fmt: skip
    page.write_text(
        _PAGE.format(
            **{name: value for name, value in vars(result).items() if name != "loads"},
            table=table(heads, rows),
            p99=result.loads[1].p99_ms,
            failed=sum(load.failed for load in result.loads),
            aim_ms=AIM_MS,
            aim_mb=AIM_MB,
        )
    )
    _plot(result.loads, page.with_suffix(".svg"))


def _plot(loads: Sequence[Load], path: Path) -> None:
    names = [f"{load.load}: {load.ids} id{'s' if load.ids > 1 else ''}, {load.accept.split('/')[1]}" for load in loads]
    rows = np.arange(len(loads))
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(loads)), layout="constrained")
    axes = figure.subplots()
    axes.barh(rows - 0.2, [load.p50_ms for load in loads], 0.4, label="50%")
    axes.barh(rows + 0.2, [load.p99_ms for load in loads], 0.4, label="99%")
    axes.axvline(AIM_MS, color="grey", linestyle="--", label=f"aim of the 99% at half the peak: {AIM_MS} ms")
    axes.set(yticks=rows, yticklabels=names, xlabel="milliseconds of a request", xscale="log")
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3)
    save(figure, path)
