"""`python -m benchmarks.daily.fold_in`: hold out 5% of the sources entirely, fold them in, compare with training them.

Measured sets and seeds are kept in benchmarks/results/fold_in.json. The last line of stdout is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.console import progress
from benchmarks.daily.__main__ import kept_version
from benchmarks.daily.chain import ChainVersion, cold, first_means, kernel_settings
from benchmarks.daily.consumers import hits, source_vectors
from benchmarks.daily.data import SETS, VERSIONS, Edges, TimedSet
from benchmarks.machine import cpu_name, today
from benchmarks.paths import RECORDS
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.fold_in import fold_in
from twhin_spark.kernels.model import Edges as KernelEdges
from twhin_spark.kernels.model import EntityRows

FILE = RECORDS / "fold_in.json"
SHARE = 20  # one source in so many is held out
NEGATIVES = 2000  # as in a fold-in's tasks


def main() -> None:
    """Measure what is not recorded yet, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", choices=sorted(SETS), help="a set; default: both")
    parser.add_argument("--seed", action="append", type=int, help="a seed; default: 0, 1 and 2")
    options = parser.parse_args()
    kept: list[dict[str, Any]] = json.loads(FILE.read_text()) if FILE.exists() else []
    for name in options.set or sorted(SETS):
        for seed in options.seed if options.seed is not None else (0, 1, 2):
            if not any((record["data"], record["seed"]) == (name, seed) for record in kept):
                kept.append(measure(SETS[name](), seed))
                FILE.write_text(json.dumps(kept, indent=1) + "\n")
    ratio, fast = (fmean(record[key] / record["trained"] for record in kept) for key in ("folded_in", "fast"))
    sys.stdout.write(json.dumps({"name": "fold_in", "ratio": round(ratio, 4), "fast_ratio": round(fast, 4)}) + "\n")


def measure(data: TimedSet, seed: int) -> dict[str, Any]:
    """Return the recall of held-out sources after training with them, and after folding them in."""
    day = VERSIONS - 1
    relation = data.relations[0]
    rng = np.random.default_rng(seed)
    held = np.zeros(data.counts[relation.source], bool)
    held[rng.choice(len(held), len(held) // SHARE, replace=False)] = True
    without = replace(data, name=f"{data.name}-without", events=_without(data, held))
    trained = kept_version(data, f"cold-{seed}-{day}", partial(cold, data, day, seed))
    partly = kept_version(without, f"cold-{seed}-{day}", partial(_cold_part, data, without, seed))
    queries = data.next_day(day)
    queries = queries[held[queries[:, 1]]]
    both = without_known(without, data)
    queries = queries[both[relation.target][queries[:, 2]]]
    progress(f"{data.name}, seed {seed}: {len(queries):,} queries of held-out sources")
    means = first_means(data, day, partly, both)
    fast = _with(partly, relation.source, means[relation.source])
    folded = _with(partly, relation.source, _folded(data, partly, both, means[relation.source], seed))

    def recall(model: ChainVersion) -> float:
        sources = source_vectors(data, model, queries[:, 1])
        found = hits(data, day, queries, both[relation.target], sources, model.entities[relation.target].vectors)
        return float(found.mean())

    return {
        "data": data.name,
        "seed": seed,
        "queries": len(queries),
        "trained": recall(trained),
        "folded_in": recall(folded),
        "fast": recall(fast),
        "machine": cpu_name(),
        "date": today(),
    }


def without_known(without: TimedSet, data: TimedSet) -> dict[str, np.ndarray]:
    """Return which entities are known without the held-out sources, in the shape of the whole set."""
    known = {name: np.zeros(count, bool) for name, count in data.counts.items()}
    for name, has in without.known(VERSIONS - 1).items():
        known[name][: len(has)] = has
    return known


def _without(data: TimedSet, held: np.ndarray) -> Edges:
    """Return the events up to the last version's, without those of the held-out sources, padded to the same cut."""
    relation, cut = data.relations[0], data.cut(VERSIONS - 1)
    keep = np.ones(len(data.events), bool)
    for number, each in enumerate(data.relations):
        of_relation = data.events[:, 0] == number
        for column, name in ((1, each.source), (2, each.target)):
            if name == relation.source:
                keep[of_relation] &= ~held[data.events[of_relation, column]]
    keep[cut:] = False
    kept = data.events[keep]
    # The cut is a share of the events, so the last of them are repeated behind it.
    padding = np.repeat(kept[-1:], max(1, round(len(kept) / 0.9) + 1 - len(kept)), axis=0)
    return np.concatenate([kept, padding])


def _cold_part(data: TimedSet, without: TimedSet, seed: int) -> ChainVersion:
    """Train without the held-out sources, with rows for all entities."""
    part = cold(without, VERSIONS - 1, seed)
    entities = {}
    for name, count in data.counts.items():
        vectors = np.zeros((count, data.options.dim), np.float32)
        vectors[: len(part.entities[name].vectors)] = part.entities[name].vectors
        accumulators = np.zeros(count, np.float32)
        entities[name] = EntityRows(vectors, accumulators)
    return ChainVersion(entities, part.relations, part.trained)


def _with(model: ChainVersion, name: str, new: dict[int, Floats]) -> ChainVersion:
    changed = model.copied()
    for entity, vector in new.items():
        changed.entities[name].vectors[entity] = vector
    return changed


def _folded(
    data: TimedSet, model: ChainVersion, known: dict[str, np.ndarray], first: dict[int, Floats], seed: int
) -> dict[int, Floats]:
    """Return the held-out sources' vectors after gradient steps, as a task of `twhin-spark fold-in` takes them."""
    name = data.relations[0].source
    ids = np.array(sorted(first))
    place = {int(entity): row for row, entity in enumerate(ids)}
    edges, weights = data.training(VERSIONS - 1)
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = {}
    row_of: dict[str, dict[int, int]] = {}
    for kind, has in known.items():
        usable = np.flatnonzero(has)
        rows[kind] = rng.choice(usable, min(NEGATIVES, len(usable)), replace=False).tolist()
        row_of[kind] = {}

    def known_row(kind: str, entity: int) -> int:
        if entity not in row_of[kind]:
            row_of[kind][entity] = len(rows[kind])
            rows[kind].append(entity)
        return row_of[kind][entity] + (len(ids) if kind == name else 0)

    kept = []
    for (number, source, target), weight in zip(edges.tolist(), weights.tolist(), strict=True):
        relation = data.relations[number]
        new_source = relation.source == name and source in place and known[relation.target][target]
        new_target = relation.target == name and target in place and known[relation.source][source]
        if new_source:
            kept.append((place[source], known_row(relation.target, target), number, weight))
        elif new_target:
            kept.append((known_row(relation.source, source), place[target], number, weight))
    columns = list(zip(*kept, strict=True))
    kernel_edges = KernelEdges(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2], np.int16),
        np.array(columns[3], np.float32),
    )
    vectors = {kind: model.entities[kind].vectors[np.array(members)] for kind, members in rows.items()}
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 0))))
    start = {name: np.stack([first[int(entity)] for entity in ids])}
    folded = fold_in(start, vectors, model.relations, kernel_edges, kernel_settings(data), generator)
    return dict(zip(ids.tolist(), folded[name], strict=True))


if __name__ == "__main__":
    main()
