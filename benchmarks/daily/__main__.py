"""`python -m benchmarks.daily`: retrain two logs day by day, in six ways; write docs/results/daily.md.

Measured sets and seeds are kept in benchmarks/results/daily.json and not measured again, and so are trained versions in
build/bench/daily. The last line of stdout is a JSON object with the figures of the default settings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.console import progress
from benchmarks.daily import page, records
from benchmarks.daily.chain import ChainVersion, aligned, backward_map, cold, warm
from benchmarks.daily.consumers import neighbour_list, next_day_recall, ranker
from benchmarks.daily.data import SETS, VERSIONS, TimedSet
from benchmarks.machine import cpu_name, today
from benchmarks.paths import BUILD, PAGES
from twhin_spark.kernels.alignment import LinearMap
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.drift import cosine_distance
from twhin_spark.kernels.model import DirectionParameters, EntityRows, RelationModel

ANCHOR = 0.1
SEEDS = (0, 1, 2)


def main() -> None:
    """Measure what is not recorded yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", choices=sorted(SETS), help="a set; default: both")
    parser.add_argument("--seed", action="append", type=int, help="a seed; default: 0, 1 and 2")
    options = parser.parse_args()
    measured = {(record.data, record.seed) for record in records.load() if record.complete}
    for name in options.set or sorted(SETS):
        for seed in options.seed if options.seed is not None else SEEDS:
            if (name, seed) not in measured:
                records.save(measure(SETS[name](), seed))
    kept = records.load()
    page.write_page(kept, PAGES)
    sys.stdout.write(json.dumps(records.summary(kept)) + "\n")


def measure(data: TimedSet, seed: int) -> records.DailyRecord:
    """Train all chains of a set with a seed, and measure them."""
    days = range(VERSIONS)
    colds = [kept_version(data, f"cold-{seed}-{day}", partial(cold, data, day, seed)) for day in days]
    cold_turned = _turned(data, colds)
    warms = _warm_chain(data, colds[0], seed, 0.0)
    anchored = _warm_chain(data, colds[0], seed, ANCHOR)
    maps = [backward_map(data, day, warms[day], warms[day - 1]) for day in days[1:]]
    back = np.eye(data.options.dim)
    for step in reversed(maps):
        back = back @ step.matrix
    plain = [warms[0], *(kept_version(data, f"warm-{seed}-{day}-0.0-plain", _missing) for day in days[1:])]
    progress(f"{data.name}, seed {seed}: measuring")
    methods = {
        "cold": _method(data, colds, colds),
        "warm": _method(data, plain, colds),
        "warm + anchor": _method(data, anchored, colds),
        "cold + alignment": _method(data, cold_turned, colds),
        "warm + alignment": _method(data, warms, colds),
        "warm + backward map": _method(data, warms, colds, back, maps),
    }
    return records.DailyRecord(
        data.name,
        seed,
        methods,
        [next_day_recall(data, day, colds[0], of=0) for day in days[1:]],
        ranker(data, colds[0], colds[-1], None).rebuilt,
        neighbour_list(data, colds[0], colds[-1], None).rebuilt,
        cpu_name(),
        today(),
    )


def _warm_chain(data: TimedSet, first: ChainVersion, seed: int, anchor: float) -> list[ChainVersion]:
    """Return a chain of warm versions, each turned to the one before.

    The versions are also kept as they would be if none had ever been turned.
    """
    chain, turns = [first], np.eye(data.options.dim)
    for day in range(1, VERSIONS):
        name = f"warm-{seed}-{day}-{anchor}"
        trained = kept_version(data, f"{name}-trained", partial(warm, data, day, chain[-1], seed, anchor=anchor))
        turned = aligned(data, day, trained, chain[-1])
        kept_version(data, f"{name}-plain", partial(_times, trained, turns.T))
        turns = turns @ _turn_between(data, trained, turned)
        chain.append(turned)
    return chain


def _turned(data: TimedSet, versions: list[ChainVersion]) -> list[ChainVersion]:
    chain = [versions[0]]
    for day in range(1, VERSIONS):
        chain.append(aligned(data, day, versions[day], chain[-1]))
    return chain


def _turn_between(data: TimedSet, before: ChainVersion, after: ChainVersion) -> Floats:
    """Return the rotation that `aligned` applied: its relations are translations or identities."""
    name = data.relations[0].target
    a, b = (version.entities[name].vectors.astype(np.float64) for version in (before, after))
    left, _, right = np.linalg.svd(a.T @ b)
    rotation: Floats = left @ right
    return rotation


def _times(version: ChainVersion, matrix: Floats) -> ChainVersion:
    """Return a version turned by a rotation."""
    turned = version.copied()
    for rows in turned.entities.values():
        rows.vectors[:] = rows.vectors @ matrix
    for relation in turned.relations.values():
        if relation.operator == "translation":
            relation.forward.values[:] = relation.forward.values @ matrix
    return ChainVersion(turned.entities, turned.relations, version.trained)


def _method(
    data: TimedSet,
    versions: list[ChainVersion],
    colds: list[ChainVersion],
    back: Floats | None = None,
    maps: list[LinearMap] | None = None,
) -> records.MethodRecord:
    days = range(1, VERSIONS)
    return records.MethodRecord(
        recall=[next_day_recall(data, day, versions[day]) for day in days],
        work=[versions[day].trained / colds[day].trained for day in days],
        drift=[_drift(data, day, versions[day], versions[day - 1]) for day in days],
        ranker_loss=ranker(data, versions[0], versions[-1], back).loss,
        list_loss=neighbour_list(data, versions[0], versions[-1], back).loss,
        map_error=[each.error for each in maps or ()],
    )


def _drift(data: TimedSet, day: int, after: ChainVersion, before: ChainVersion) -> float:
    known = data.known(day - 1)
    return float(
        median(
            cosine_distance(before.entities[name].vectors[rows], after.entities[name].vectors[rows]).mean()
            for name, rows in known.items()
        )
    )


def kept_version(data: TimedSet, name: str, make: Callable[[], ChainVersion]) -> ChainVersion:
    """Return a version from its file, or make it and write the file."""
    file = BUILD / "daily" / data.name / f"{name}.npz"
    if not file.exists():
        progress(f"{data.name}: training {name}")
        _write(file, make())
    return _read(data, file)


def _missing() -> ChainVersion:
    raise AssertionError("the chain before has written it")


def _write(file: Path, version: ChainVersion) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"trained": np.array(version.trained)}
    for name, rows in version.entities.items():
        arrays[f"vectors-{name}"], arrays[f"accumulators-{name}"] = rows.vectors, rows.accumulators
    for number, relation in version.relations.items():
        arrays[f"parameters-{number}"] = relation.forward.values
        arrays[f"squares-{number}"] = relation.forward.accumulators
    part = file.with_suffix(".part.npz")
    np.savez(part, **arrays)  # type: ignore[arg-type]
    part.rename(file)


def _read(data: TimedSet, file: Path) -> ChainVersion:
    with np.load(file) as arrays:
        entities = {name: EntityRows(arrays[f"vectors-{name}"], arrays[f"accumulators-{name}"]) for name in data.types}
        relations = {
            number: RelationModel(
                relation.source,
                relation.target,
                relation.operator,
                relation.weight,
                DirectionParameters(arrays[f"parameters-{number}"], arrays[f"squares-{number}"]),
            )
            for number, relation in enumerate(data.relations)
        }
        return ChainVersion(entities, relations, int(arrays["trained"]))


if __name__ == "__main__":
    main()
