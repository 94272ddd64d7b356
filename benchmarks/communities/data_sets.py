"""Recall of candidates by communities, by vectors and by both, on a real data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from deltalake import DeltaTable
from scipy import sparse

from benchmarks.command_line import run_job
from benchmarks.communities.records import Part
from benchmarks.console import progress
from benchmarks.paths import BUILD, CONFIG_DATA, ROOT, data_home
from twhin_spark.config import load_config
from twhin_spark.kernels.arrays import Integers
from twhin_spark.retrieval.recall import recall_at


@dataclass(frozen=True)
class DataSet:
    """A config of conf/ with a section `communities`, its relation, and the k of recall@k."""

    name: str
    relation: str
    k: int


DATA_SETS = (DataSet("lastfm", "listen", 20), DataSet("higgs", "retweet", 10))


def measure(data: DataSet) -> Part:
    """Train the model if it is missing, find the communities and candidates, and measure recall@k and @100."""
    output = ROOT / "build" / data.name
    config = _write_config(data, output)
    if not (output / "tables" / "model_versions").exists():
        run_job("pipeline", config)
    _, found = run_job("communities", config)
    metrics = run_job("candidates", config)[1]["metrics"]
    values: dict[str, dict[str, float]] = {f"recall@{k}": {} for k in (data.k, 100)}
    for row in metrics:
        if row["relation"] == data.relation and row["metric"] in values:
            values[row["metric"]][row["model"]] = row["value"]
    graph = _Graph.read(output / "tables", data.relation)
    neighbours = graph.item_knn((data.k, 100))
    for metric, value in neighbours.items():
        values[metric]["item_knn"] = value
    part = {
        "relation": data.relation, "k": data.k, "recall": values, "covered": graph.covered(output / "tables"),
        "counts": found["counts"], "resolution": found["resolution"], "seconds": found["stages"],
        "settings": load_config(config).communities.model_dump(mode="json"),  # type: ignore[union-attr]
    }  # fmt: skip
    progress(f"{data.name}: {json.dumps(part['recall'])}, covered {part['covered']:.3f}")
    return part


def _write_config(data: DataSet, output: Path) -> Path:
    text = (ROOT / "conf" / f"{data.name}.yaml").read_text().replace(CONFIG_DATA, str(data_home()))
    document: dict[str, Any] = yaml.safe_load(text)
    query = {"relation": data.relation, "exclude": [data.relation], "k": 100, "recall": data.relation}
    document["output"] = str(output)
    document["retrieval"] = {
        "recall_at": [data.k, 100],
        "queries": {"dense": query, "sparse": {**query, "method": "communities"}},
        "blends": {"blend": {"queries": _BLEND[data.name], "k": 100}},
    }
    path = BUILD / "communities" / f"{data.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


_BLEND: Mapping[str, Mapping[str, float]] = {
    "lastfm": {"dense": 1, "sparse": 0.5},
    "higgs": {"dense": 1, "sparse": 0.5},
}


@dataclass(frozen=True)
class _Graph:
    """The training edges of a relation as a matrix of sources and targets, and the new test edges."""

    edges: sparse.csr_array
    sources: Sequence[str]
    source: Integers
    target: Integers
    same_type: bool

    @classmethod
    def read(cls, tables: Path, relation: str) -> _Graph:
        versions = DeltaTable(tables / "graph_versions").to_pyarrow_table().to_pylist()
        pinned = dict(max(versions, key=lambda version: version["built_at"])["tables"])
        edges = DeltaTable(tables / "edges", version=pinned["edges"]).to_pandas()
        edges = edges[edges["relation"] == relation]
        entities = DeltaTable(tables / "entities", version=pinned["entities"]).to_pandas()
        seen = entities[entities["degree"] > 0]
        ends = [edges[f"{end}_type"].iloc[0] for end in ("source", "target")]
        ids = [np.sort(seen.loc[seen["entity_type"] == end, "entity_id"].to_numpy(str)) for end in ends]
        train, test = (edges[edges["split"] == split] for split in ("train", "test"))
        known = [
            np.searchsorted(ids[i], train[f"{end}_id"].to_numpy(str)) for i, end in enumerate(("source", "target"))
        ]
        shape = (len(ids[0]), len(ids[1]))
        matrix = sparse.csr_array((train["weight"].to_numpy(), tuple(known)), shape=shape)
        ends_of = [test[f"{end}_id"].to_numpy(str) for end in ("source", "target")]
        both = np.isin(ends_of[0], ids[0]) & np.isin(ends_of[1], ids[1])
        pairs = np.unique(np.stack([np.searchsorted(ids[i], ends_of[i][both]) for i in (0, 1)]), axis=1)
        new = np.asarray(matrix[pairs[0], pairs[1]]).ravel() == 0
        return cls(matrix, ids[0].tolist(), pairs[0, new], pairs[1, new], ends[0] == ends[1])

    def item_knn(self, ks: Sequence[int], neighbours: int = 400) -> dict[str, float]:
        """Return the recall of targets by their cosine with the source's own targets, over binary edges."""
        binary = self.edges.astype(bool).astype(np.float64)
        common = sparse.csr_array(binary.T @ binary)
        common.setdiag(0)
        common.eliminate_zeros()
        size = np.sqrt(binary.sum(axis=0))
        row = np.repeat(np.arange(common.shape[0]), np.diff(common.indptr))
        common.data /= size[row] * size[common.indices]
        order = np.lexsort((common.indices, -common.data, row))
        kept = order[np.arange(len(order)) - common.indptr[row[order]] < neighbours]
        near = sparse.csr_array((common.data[kept], (row[kept], common.indices[kept])), shape=common.shape)
        near = sparse.csr_array(near.maximum(near.T))
        ranks = np.full(len(self.source), np.inf)
        for source in np.unique(self.source):
            scores = (binary[[source]] @ near).toarray().ravel()
            scores[self.edges[[source]].indices] = 0
            if self.same_type:
                scores[source] = 0
            queries = np.flatnonzero(self.source == source)
            best = np.argsort(-scores, kind="stable")[: max(ks)]
            rank_of = {int(target): rank for rank, target in enumerate(best, 1) if scores[target] > 0}
            ranks[queries] = [rank_of.get(int(target), np.inf) for target in self.target[queries]]
        numbers = np.unique(self.source, return_inverse=True)[1]
        return {f"recall@{k}": recall_at(k, ranks, numbers) for k in ks}

    def covered(self, tables: Path) -> float:
        """Return the share of the test sources that have interests."""
        table = DeltaTable(tables / "interested_in").to_pyarrow_table(columns=["entity_id"])
        interested = set(table["entity_id"].to_pylist())
        return float(np.mean([self.sources[source] in interested for source in np.unique(self.source)]))
