"""Quality of PyTorch-BigGraph on the graph of a quality run: the same training edges, queries and candidates."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from deltalake import DeltaTable

from benchmarks import pytorch_biggraph as pbg
from benchmarks.console import progress
from benchmarks.paths import BUILD
from twhin_spark.evaluation.metrics import metrics_of, totals_of
from twhin_spark.evaluation.ranking import Ranks
from twhin_spark.kernels.arrays import Floats, Integers

_COLUMNS = ["relation", "source_type", "source_id", "target_type", "target_id", "split"]


@dataclass(frozen=True)
class PeerTraining:
    """Settings of PyTorch-BigGraph, and the relation whose test edges are ranked."""

    relation: str
    settings: pbg.PeerSettings


def peer_metrics(name: str, tables: Path, peer: PeerTraining) -> tuple[dict[str, float], float]:
    """Train PyTorch-BigGraph on the training edges of a graph's tables.

    Return its metrics by name, and the seconds of import, training and export.
    """
    pbg.install()
    edges = DeltaTable(tables / "edges").to_pyarrow_table(columns=_COLUMNS).to_pandas()
    for end in ("source", "target"):  # two entity types may share an id
        edges[end] = edges[f"{end}_type"] + ":" + edges[f"{end}_id"]
    trained = edges[edges["split"] == "train"]
    tsv = BUILD / "pbg" / f"{name}.tsv"
    tsv.parent.mkdir(parents=True, exist_ok=True)
    trained[["source", "relation", "target"]].to_csv(tsv, sep="\t", header=False, index=False)
    project = pbg.Project(tsv.with_suffix(""))
    progress(f"{name}: training PyTorch-BigGraph")
    started = time.perf_counter()
    project.import_edges(peer.settings, tsv)
    project.train(peer.settings)
    project.export()
    seconds = time.perf_counter() - started
    return metrics_by_vectors(edges[edges["relation"] == peer.relation], *project.vectors()), seconds


def metrics_by_vectors(edges: pd.DataFrame, entities: pd.Index, vectors: Floats) -> dict[str, float]:
    """Return metrics by name of a relation's new test edges, if both of their ends are among the entities.

    The candidates of a query are all entities of the target's type but the source itself and its targets in training.

    Parameters
    ----------
    edges
        The relation's edges, with columns source, target, source_type, target_type and split.
    entities
        The n names of all entities, `type:id` as in the columns source and target.
    vectors
        The entities' vectors (n, dim).
    """
    source_type, target_type = edges[["source_type", "target_type"]].iloc[0]
    candidates = np.flatnonzero(entities.str.startswith(f"{target_type}:"))
    rows = pd.DataFrame({end: entities.get_indexer(pd.Index(edges[end])) for end in ("source", "target")})
    trained = rows[(edges["split"] == "train").to_numpy()]
    held_out = rows[(edges["split"] == "test").to_numpy() & (rows >= 0).all(axis=1).to_numpy()]
    new = held_out.merge(trained, how="left", indicator=True)
    queries = new.loc[new["_merge"] == "left_only", ["source", "target"]].sort_values(["source", "target"])
    ranks = _ranks(queries, trained, vectors, candidates, excludes_source=source_type == target_type)
    _, source = np.unique(queries["source"], return_inverse=True)
    return {metric.metric: metric.value for metric in metrics_of(totals_of(ranks, source))}


def _ranks(
    queries: pd.DataFrame, trained: pd.DataFrame, vectors: Floats, candidates: Integers, *, excludes_source: bool
) -> Ranks:
    """Return the ranks of queries, in the order of their sources, by dot products.

    A translation would change the scores of all targets of a source by the same amount, so none is applied.
    queries, trained: columns source and target, rows of `vectors`; candidates: rows of `vectors`, ascending.
    """
    targets = trained.groupby("source")["target"].agg(list)
    answering = vectors[candidates]  # (n, dim)
    among_new, filtered = [], []
    sources, first = np.unique(queries["source"].to_numpy(), return_index=True)
    for source, answers in zip(sources.tolist(), np.split(queries["target"].to_numpy(), first[1:]), strict=True):
        scores = answering @ vectors[source]
        excluded = [*targets.get(source, []), *([source] if excludes_source else [])]
        answer_scores = scores[np.searchsorted(candidates, answers)]
        scores[np.searchsorted(candidates, excluded)] = -np.inf
        above = (scores > answer_scores[:, None]).sum(axis=1)
        among_new.append(1 + above)
        filtered.append(1 + above - (answer_scores > answer_scores[:, None]).sum(axis=1))
    return Ranks(*(np.concatenate(ranks).astype(np.float64) for ranks in (among_new, filtered)))
