"""Lists of a single vector beside those of mixtures, by `twhin-spark candidates`: recall of test edges, diversity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import yaml
from deltalake import DeltaTable

from benchmarks.command_line import run_job
from benchmarks.console import progress
from benchmarks.paths import BUILD
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.clusters import nearest_centroids, spherical_kmeans, unit_rows
from twhin_spark.retrieval.recall import recall_at

KS = (10, 50, 100)
_CLUSTERS = 64  # of the targets, the same for all lists, to count how many of them a list has
_SAMPLE = 32_768  # targets that these clusters are found with
SINGLE = "single vector"
TRIED: Mapping[str, Mapping[str, Any]] = {
    "own clusters alone, 64": {"smoothing": 0.0},
    "half the neighbours', 64": {},
    "all the neighbours', 64": {"smoothing": 1.0},
    "half the neighbours', 16": {"clusters": 16},
    "half the neighbours', 256": {"clusters": 256},
}
"""The options of `retrieval.mixtures` that differ from the defaults, by the name that the page has for them."""


@dataclass(frozen=True)
class MixtureRow:
    """By k: recall of new test edges, distinct clusters of a list's targets, mean cosine of two of them."""

    list: str
    sources: int
    recall: Mapping[str, float]
    clusters: Mapping[str, float]
    similarity: Mapping[str, float]


def measure(config: Path, output: Path, relation: str) -> list[MixtureRow]:
    """Rows of a set whose vectors are published under `output`, for one of its relations."""
    answers = _Answers.read(output / "tables", relation)
    targets = _Targets.read(output / "tables", answers.target_type)
    rows = []
    for name, settings in [(SINGLE, None), *TRIED.items()]:
        lists = _lists(config, output, relation, answers.sources, settings)
        rows.append(_measured(name, lists, answers, targets))
        progress(f"{config.stem}, {rows[-1]}")
    return rows


def _lists(
    config: Path, output: Path, relation: str, sources: Sequence[str], mixtures: Mapping[str, Any] | None
) -> Mapping[str, Sequence[str]]:
    """The candidates of each source, best first, as the job finds them; mixtures None: by the single vector."""
    query = {"relation": relation, "exclude": [relation], "k": max(KS)}
    query["sources"] = "entity_id IN ({})".format(", ".join(f"'{name}'" for name in sources))
    query["method"] = "exact" if mixtures is None else "mixture"
    asked = yaml.safe_load(config.read_text())
    asked |= {"output": str(output), "retrieval": {"queries": {"list": query}, "mixtures": dict(mixtures or {})}}
    path = BUILD / "mixtures" / config.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(asked))
    run_job("candidates", path)
    table = DeltaTable(output / "tables/candidates").to_pyarrow_table(columns=["source_id", "candidate_id", "rank"])
    ordered = table.sort_by([("source_id", "ascending"), ("rank", "ascending")])
    found: dict[str, list[str]] = {name: [] for name in sources}
    for source, candidate in zip(ordered["source_id"].to_pylist(), ordered["candidate_id"].to_pylist(), strict=True):
        found[source].append(candidate)
    return found


@dataclass(frozen=True)
class _Answers:
    """The new test edges both of whose ends are in training; the answers of each source."""

    target_type: str
    by_source: Mapping[str, frozenset[str]]

    @property
    def sources(self) -> Sequence[str]:
        return list(self.by_source)

    @classmethod
    def read(cls, tables: Path, relation: str) -> _Answers:
        graphs = DeltaTable(tables / "graph_versions").to_pyarrow_table().to_pylist()
        versions = dict(max(graphs, key=lambda graph: graph["built_at"])["tables"])
        edges = DeltaTable(tables / "edges", version=versions["edges"]).to_pyarrow_dataset()
        edges = edges.to_table(filter=ds.field("relation") == relation)
        entities = DeltaTable(tables / "entities", version=versions["entities"]).to_pyarrow_dataset()
        seen = entities.to_table(columns=["entity_type", "entity_id"], filter=ds.field("degree") > 0)
        ends = {end: edges[f"{end}_type"][0].as_py() for end in ("source", "target")}
        known = {end: set(_ids(seen, name)) for end, name in ends.items()}
        pairs = {split: set(_pairs(edges, split)) for split in ("train", "test")}
        found: dict[str, set[str]] = {}
        for source, target in sorted(pairs["test"] - pairs["train"]):
            if source in known["source"] and target in known["target"]:
                found.setdefault(source, set()).add(target)
        return cls(ends["target"], {source: frozenset(targets) for source, targets in found.items()})


@dataclass(frozen=True)
class _Targets:
    """units: float32 (n, dim), cluster: (n,), place: a target's row, by id."""

    units: Floats
    cluster: Integers
    place: Mapping[str, int]

    @classmethod
    def read(cls, tables: Path, entity_type: str) -> _Targets:
        rows = DeltaTable(tables / "embeddings").to_pyarrow_dataset()
        mine = rows.to_table(columns=["entity_id", "embedding"], filter=ds.field("entity_type") == entity_type)
        values = mine["embedding"].combine_chunks().flatten().to_numpy()
        units = unit_rows(values.astype(np.float32).reshape(len(mine), -1))
        sample = units[:: max(1, len(units) // _SAMPLE)]
        centroids = spherical_kmeans(sample, _CLUSTERS, np.random.default_rng(1)).centroids
        place = {name: row for row, name in enumerate(mine["entity_id"].to_pylist())}
        return cls(units, nearest_centroids(units, centroids)[0], place)


def _measured(name: str, lists: Mapping[str, Sequence[str]], answers: _Answers, targets: _Targets) -> MixtureRow:
    ranks, source = [], []
    for number, (one, mine) in enumerate(answers.by_source.items()):
        at = {candidate: rank for rank, candidate in enumerate(lists[one], 1)}
        ranks += [at.get(target, np.inf) for target in mine]
        source += [number] * len(mine)
    places = [np.array([targets.place[candidate] for candidate in found], np.int64) for found in lists.values()]
    recall, clusters, similarity = {}, {}, {}
    for k in KS:
        recall[str(k)] = recall_at(k, np.array(ranks), np.array(source))
        pairs = list(_diversity([one[:k] for one in places], targets))
        clusters[str(k)], similarity[str(k)] = np.mean(pairs, axis=0).tolist()
    return MixtureRow(name, len(answers.by_source), recall, clusters, similarity)


def _diversity(lists: Sequence[Integers], targets: _Targets) -> Iterator[tuple[int, float]]:
    """Of each list of two targets or more: its distinct clusters, and the mean cosine of two different targets."""
    for places in lists:
        if len(places) > 1:
            total = targets.units[places].sum(axis=0, dtype=np.float64)
            own = np.square(targets.units[places], dtype=np.float64).sum()
            pairs = len(places) * (len(places) - 1)
            yield len(np.unique(targets.cluster[places])), float(total @ total - own) / pairs


def _ids(entities: pa.Table, entity_type: str) -> list[str]:
    found: list[str] = entities.filter(pc.equal(entities["entity_type"], entity_type))["entity_id"].to_pylist()
    return found


def _pairs(edges: pa.Table, split: str) -> Iterator[tuple[str, str]]:
    mine = edges.filter(pc.equal(edges["split"], split))
    return zip(mine["source_id"].to_pylist(), mine["target_id"].to_pylist(), strict=True)
