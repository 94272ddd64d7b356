"""The job's own tasks for single vectors and mixtures, in this process, over published tables, for test sources."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from twhin_spark.config.retrieval import Mixtures
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.clusters import nearest_centroids, spherical_kmeans
from twhin_spark.kernels.topk import unit_vectors
from twhin_spark.retrieval.asked import Asked
from twhin_spark.retrieval.files import Files, Layout, filled
from twhin_spark.retrieval.mixture import MixtureTask, cluster_targets
from twhin_spark.retrieval.recall import recall_at
from twhin_spark.retrieval.tables import condition
from twhin_spark.retrieval.task import Finder
from twhin_spark.retrieval.version import Parameters

KS = (10, 50, 100)
TRIED = {
    "mixture of 64 clusters": Mixtures(smoothing=0),
    "mixture of 64 clusters, half of it neighbours'": Mixtures(smoothing=0.5),
    "mixture of 64 clusters, .8 of it neighbours'": Mixtures(smoothing=0.8),
    "mixture of 16 clusters, half of it neighbours'": Mixtures(clusters=16, smoothing=0.5),
}


def measure_mixtures(output: Path, relation: str, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Recall and diversity of the single vector's lists and of mixtures', a row each."""
    with tempfile.TemporaryDirectory() as folder:
        world = _World(output, relation, Files(Scratch(folder)))
        rows = [world.measured("single vector", "exact", None)]
        for name, settings in TRIED.items():
            rows.append(world.measured(name, "mixture", settings))
            say(f"{output} {relation}: {rows[-1]}")
    return rows


class _World:
    def __init__(self, output: Path, relation: str, files: Files) -> None:
        tables = output / "tables"
        (graph,) = DeltaTable(str(tables / "graph_versions")).to_pyarrow_table().to_pylist()[-1:]
        versions = dict(graph["tables"])
        relations = {
            row["relation"]: row
            for row in DeltaTable(str(tables / "relations")).to_pyarrow_table().to_pylist()
            if row["side"] == "target"
        }
        mine = relations[relation]
        number = graph["relations"].index(relation)
        ends = mine["source_type"], mine["target_type"]
        same = [name for name, one in relations.items() if (one["source_type"], one["target_type"]) == ends]
        self.files = files
        self.query = Asked(
            "measured", *ends, "dot", max(KS), "mixture", Parameters(mine["operator"], tuple(mine["parameters"])),
            (number,), tuple(graph["relations"].index(name) for name in same),
        )  # fmt: skip
        edges = DeltaTable(str(tables / "edges"), version=versions["edges"]).to_pyarrow_table()
        edges = edges.filter(pc.equal(edges["relation"], relation))
        pairs = {split: self._pairs(edges, split) for split in ("train", "test")}
        entities = DeltaTable(str(tables / "entities"), version=versions["entities"]).to_pyarrow_table()
        entities = entities.filter(pc.greater(entities["degree"], 0))
        seen = {kind: set(_ids(entities, kind)) for kind in ends}
        new = sorted((s, t) for s, t in pairs["test"] - pairs["train"] if s in seen[ends[0]] and t in seen[ends[1]])
        self._write(tables, entities, versions, graph["partitions"], {source for source, _ in new})
        self.answers = self._answers(new)

    @staticmethod
    def _pairs(edges: pa.Table, split: str) -> set[tuple[str, str]]:
        mine = edges.filter(pc.equal(edges["split"], split))
        return set(zip(mine["source_id"].to_pylist(), mine["target_id"].to_pylist(), strict=True))

    def _write(
        self, tables: Path, entities: pa.Table, versions: dict[str, int], partitions: int, sources: set[str]
    ) -> None:
        vectors = DeltaTable(str(tables / "embeddings")).to_pyarrow_table(
            columns=["entity_type", "entity_id", "embedding"]
        )
        # Arrow's join takes no lists, so the vectors are fetched by their row.
        numbered = vectors.select(["entity_type", "entity_id"]).append_column("at", pa.array(np.arange(len(vectors))))
        joined = entities.select(["entity_type", "entity_id", "partition", "row", "entity_key"]).join(
            numbered, ["entity_type", "entity_id"], join_type="inner"
        )
        joined = joined.append_column(
            "embedding", vectors["embedding"].combine_chunks().take(joined["at"].combine_chunks())
        )
        asked = pc.and_(
            pc.equal(joined["entity_type"], self.query.source), pc.is_in(joined["entity_id"], pa.array(sorted(sources)))
        )
        joined = joined.append_column(condition(self.query, "sources"), asked)
        joined = joined.append_column(condition(self.query, "targets"), pa.array(np.ones(len(joined), bool)))
        buckets = DeltaTable(str(tables / "edge_buckets"), version=versions["edge_buckets"]).to_pyarrow_table()
        counts = {name: np.zeros(partitions, np.int64) for name in {self.query.source, self.query.target}}
        for partition in range(partitions):
            here = joined.filter(pc.equal(joined["partition"], partition))
            blocks = buckets.filter(pc.equal(buckets["source_partition"], partition))
            for row in self.files.write([self.query], partition, here, blocks).to_pylist():
                counts[row["entity_type"]][partition] = row["entities"]
        self.layout = Layout(partitions, counts)
        self.finder = Finder(self.files, self.layout, self.query, [0, partitions])

    def _answers(self, new: list[tuple[str, str]]) -> tuple[Integers, Integers]:
        """Of each query, ordered by source, its source's number and its target's place: (m,) each."""
        place = {}
        for kind in {self.query.source, self.query.target}:
            ids = [i for part in filled(self.layout, kind) for i in self.files.ids(kind, part).to_pylist()]
            place[kind] = {name: number for number, name in enumerate(ids)}
        sources = {p: i for i, p in enumerate(self.finder.source_places(0).tolist())}
        found = np.array([(sources[place[self.query.source][s]], place[self.query.target][t]) for s, t in new])
        found = found[np.argsort(found[:, 0], kind="stable")]
        return found[:, 0], found[:, 1]

    def measured(self, name: str, method: str, settings: Mixtures | None) -> dict[str, Any]:
        if settings is None:
            self.finder.exact(0)
        else:
            task = MixtureTask(self.finder, cluster_targets(self.finder, settings, lambda line: None), settings)
            task.write_mixtures(0)
            task.find(0)
        places = self.files.scratch.read(f"found/{self.query.name}/0")["places"]  # (sources, 100)
        source, target = self.answers
        at = places[source] == target[:, None]  # (m, 100)
        ranks = np.where(at.any(axis=1), at.argmax(axis=1) + 1.0, np.inf)
        row: dict[str, Any] = {"list": name, "sources": len(places)}
        units, labels = self._clusters()
        for k in KS:
            row[f"recall@{k}"] = recall_at(k, ranks, source)
            clusters, similarity = _diversity(places[:, :k], units, labels)
            row[f"clusters@{k}"], row[f"similarity@{k}"] = clusters, similarity
        return row

    def _clusters(self) -> tuple[Floats, Integers]:
        """All targets as unit vectors, and their clusters, the same for every list that is measured."""
        parts = [self.files.vectors(self.query.target, part) for part in filled(self.layout, self.query.target)]
        units = unit_vectors(np.concatenate(parts))
        sample = units[:: max(1, len(units) // 32_768)]
        centroids = spherical_kmeans(sample, 64, np.random.default_rng(1), iterations=20).centroids
        return units, nearest_centroids(units, centroids)[0]


def _diversity(places: Integers, units: Floats, labels: Integers) -> tuple[float, float]:
    """Means over the lists (n, k) with two targets or more: distinct clusters, and cosine of two different targets."""
    clusters, similarities = [], []
    for row in places:
        mine = row[row >= 0]
        if len(mine) > 1:
            clusters.append(len(np.unique(labels[mine])))
            total = units[mine].sum(axis=0, dtype=np.float64)
            squares = np.square(units[mine], dtype=np.float64).sum()
            similarities.append((total @ total - squares) / (len(mine) * (len(mine) - 1)))
    return float(np.mean(clusters)), float(np.mean(similarities))


def _ids(entities: pa.Table, kind: str) -> list[str]:
    found: list[str] = entities.filter(pc.equal(entities["entity_type"], kind))["entity_id"].to_pylist()
    return found
