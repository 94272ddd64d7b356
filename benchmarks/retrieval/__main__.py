"""Measure candidates: the exact top k and approximate indexes, single vectors and mixtures (make bench-retrieval).

The vectors of Higgs and Last.fm must be published. Measurements go to benchmarks/results/retrieval.json, part by part,
and from there to docs/results/retrieval.md; `--only` measures one part again. Each part prints one JSON line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import faiss
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.machine import core_count, cpu_name, installed_versions, today
from benchmarks.paths import RECORDS, ROOT
from benchmarks.retrieval import mixtures
from benchmarks.retrieval.page import write_page
from benchmarks.retrieval.vector_sets import Sizes, VectorSet, vector_sets
from benchmarks.speed.records import rounded

_STORE = RECORDS / "retrieval.json"
_OUTPUT = click.Path(file_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--vectors", default=300_000, type=click.IntRange(min=10_000), help="Number of random vectors.")
@click.option("--dim", default=128, type=click.IntRange(min=2), help="Dimension of random vectors.")
@click.option("--higgs", default=ROOT / "build/higgs", type=_OUTPUT, help="Output of conf/higgs.yaml.")
@click.option("--lastfm", default=ROOT / "build/lastfm", type=_OUTPUT, help="Output of conf/lastfm.yaml.")
@click.option("--only", multiple=True, help="Part to measure, such as 'Last.fm, listen'; all by default.")
@click.option("--page", is_flag=True, help="Only write the page from the records.")
def main(vectors: int, dim: int, higgs: Path, lastfm: Path, only: tuple[str, ...], page: bool) -> None:
    """Measure candidates: exact, approximate and by mixtures. All times are CPU time of one thread."""
    records = json.loads(_STORE.read_text()) if _STORE.exists() else {"indexes": {}, "mixtures": {}}
    parts = _parts(Sizes(vectors, dim), higgs, lastfm)
    if unknown := set(only) - {name for _, name in parts}:
        names = ", ".join(repr(name) for _, name in parts)
        raise click.BadParameter(f"unknown parts {sorted(unknown)}; choose from {names}", param_hint="--only")
    for folder in () if page else (higgs, lastfm):
        if not folder.exists():
            raise click.UsageError(f"{folder} is missing; `make bench-retrieval` trains and publishes its vectors")
    for (kind, name), measure in parts.items():
        if not page and (not only or name in only):
            records[kind][name] = {**measure(), **_about()}
            _STORE.write_text(json.dumps(rounded(records), indent=1, ensure_ascii=False) + "\n")
            click.echo(json.dumps({"part": name, "rows": len(records[kind][name]["rows"])}))
    write_page(records)


def _parts(sizes: Sizes, higgs: Path, lastfm: Path) -> dict[tuple[str, str], Callable[[], dict[str, Any]]]:
    """Return the functions that measure each part, by its kind and its name."""
    indexes = {("indexes", name): partial(_indexes, name, make) for name, make in vector_sets(sizes, higgs).items()}
    return {
        **indexes,
        ("mixtures", "Last.fm, listen"): partial(_mixtures, "lastfm", lastfm, "listen"),
        ("mixtures", "Higgs, retweet"): partial(_mixtures, "higgs", higgs, "retweet"),
    }


def _indexes(name: str, make: Callable[[], VectorSet]) -> dict[str, Any]:
    from benchmarks.retrieval import index_speed  # needs hnswlib and usearch, which `--help` and `--page` do without

    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        vectors = make()
        rows = index_speed.measure(name, vectors, dot="cosine" not in name)
    return {"vectors": len(vectors.targets), "dim": vectors.targets.shape[1], "rows": [asdict(row) for row in rows]}


def _mixtures(config: str, output: Path, relation: str) -> dict[str, Any]:
    rows = mixtures.measure(ROOT / "conf" / f"{config}.yaml", output.absolute(), relation)
    return {"rows": [asdict(row) for row in rows]}


def _about() -> dict[str, Any]:
    libraries = {name: version(name) for name in ("faiss-cpu", "hnswlib", "usearch")}
    return {
        "versions": {**installed_versions(), **libraries},
        "date": today(),
        "machine": f"{core_count()} cores, {cpu_name()}",
    }


if __name__ == "__main__":
    main()
