"""Recall and diversity of the lists that `twhin-spark candidates` finds by a single vector and by mixtures."""

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
_CLUSTERS = 64  # clusters of the targets, the same for all lists, whose number in a list is counted
_SAMPLE = 32_768  # targets that these clusters are fitted to
SINGLE = "single vector"
TRIED: Mapping[str, Mapping[str, Any]] = {
    "own clusters alone, 64": {"smoothing": 0.0},
    "half the neighbours', 64": {},
    "all the neighbours', 64": {"smoothing": 1.0},
    "half the neighbours', 16": {"clusters": 16},
    "half the neighbours', 256": {"clusters": 256},
}
"""Options of `retrieval.mixtures` that differ from the defaults, by their name on the page."""


@dataclass(frozen=True)
class MixtureRow:
    """Measurements of a kind of list, by k: recall of new test edges, distinct clusters, mean cosine of two targets."""

    list: str
    sources: int
    recall: Mapping[str, float]
    clusters: Mapping[str, float]
    similarity: Mapping[str, float]


def measure(config: Path, output: Path, relation: str) -> list[MixtureRow]:
    """Measure all kinds of lists for a relation of a config whose vectors are published under `output`."""
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
    """Return the candidates of each source, best first, as the job finds them.

    mixtures: options of `retrieval.mixtures`, or None for lists by the single vector.
    """
    query = {"relation": relation, "exclude": [relation], "k": max(KS)}
    query["sources"] = "entity_id IN ({})".format(", ".join(f"'{name}'" for name in sources))
    query["method"] = "exact" if mixtures is None else "mixture"
    document = yaml.safe_load(config.read_text())
    document |= {"output": str(output), "retrieval": {"queries": {"list": query}, "mixtures": dict(mixtures or {})}}
    path = BUILD / "mixtures" / config.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    run_job("candidates", path)
    table = DeltaTable(output / "tables/candidates").to_pyarrow_table(columns=["source_id", "candidate_id", "rank"])
    ordered = table.sort_by([("source_id", "ascending"), ("rank", "ascending")])
    lists: dict[str, list[str]] = {name: [] for name in sources}
    for source, candidate in zip(ordered["source_id"].to_pylist(), ordered["candidate_id"].to_pylist(), strict=True):
        lists[source].append(candidate)
    return lists


@dataclass(frozen=True)
class _Answers:
    """The targets of new test edges by source; both ends of the edges are in training."""

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
        trained = {end: set(_ids(seen, name)) for end, name in ends.items()}
        pairs = {split: set(_pairs(edges, split)) for split in ("train", "test")}
        by_source: dict[str, set[str]] = {}
        for source, target in sorted(pairs["test"] - pairs["train"]):
            if source in trained["source"] and target in trained["target"]:
                by_source.setdefault(source, set()).add(target)
        return cls(ends["target"], {source: frozenset(targets) for source, targets in by_source.items()})


@dataclass(frozen=True)
class _Targets:
    """The n targets: unit vectors (n, dim) in float32, their clusters (n,), and by id a target's row in both."""

    units: Floats
    cluster: Integers
    row: Mapping[str, int]

    @classmethod
    def read(cls, tables: Path, entity_type: str) -> _Targets:
        embeddings = DeltaTable(tables / "embeddings").to_pyarrow_dataset()
        targets = embeddings.to_table(columns=["entity_id", "embedding"], filter=ds.field("entity_type") == entity_type)
        values = targets["embedding"].combine_chunks().flatten().to_numpy()
        units = unit_rows(values.astype(np.float32).reshape(len(targets), -1))
        sample = units[:: max(1, len(units) // _SAMPLE)]
        centroids = spherical_kmeans(sample, _CLUSTERS, np.random.default_rng(1)).centroids
        row = {name: number for number, name in enumerate(targets["entity_id"].to_pylist())}
        return cls(units, nearest_centroids(units, centroids)[0], row)


def _measured(name: str, lists: Mapping[str, Sequence[str]], answers: _Answers, targets: _Targets) -> MixtureRow:
    ranks, source = [], []
    for number, (name_of_source, answered) in enumerate(answers.by_source.items()):
        rank_of = {candidate: rank for rank, candidate in enumerate(lists[name_of_source], 1)}
        ranks += [rank_of.get(target, np.inf) for target in answered]
        source += [number] * len(answered)
    rows = [np.array([targets.row[candidate] for candidate in candidates], np.int64) for candidates in lists.values()]
    recall, clusters, similarity = {}, {}, {}
    for k in KS:
        recall[str(k)] = recall_at(k, np.array(ranks), np.array(source))
        pairs = list(_diversity([listed[:k] for listed in rows], targets))
        clusters[str(k)], similarity[str(k)] = np.mean(pairs, axis=0).tolist()
    return MixtureRow(name, len(answers.by_source), recall, clusters, similarity)


def _diversity(lists: Sequence[Integers], targets: _Targets) -> Iterator[tuple[int, float]]:
    """Yield each list's number of clusters and mean cosine of two targets; lists of a single target are skipped."""
    for rows in lists:
        if len(rows) > 1:
            total = targets.units[rows].sum(axis=0, dtype=np.float64)
            squares = np.square(targets.units[rows], dtype=np.float64).sum()
            pairs = len(rows) * (len(rows) - 1)
            yield len(np.unique(targets.cluster[rows])), float(total @ total - squares) / pairs


def _ids(entities: pa.Table, entity_type: str) -> list[str]:
    ids: list[str] = entities.filter(pc.equal(entities["entity_type"], entity_type))["entity_id"].to_pylist()
    return ids


def _pairs(edges: pa.Table, split: str) -> Iterator[tuple[str, str]]:
    rows = edges.filter(pc.equal(edges["split"], split))
    return zip(rows["source_id"].to_pylist(), rows["target_id"].to_pylist(), strict=True)
