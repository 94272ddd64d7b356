"""PyTorch-BigGraph on the very graph that a quality run has built: the same training edges, queries and candidates."""

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
    """How PyTorch-BigGraph is trained, and the relation whose test edges are asked for."""

    relation: str
    settings: pbg.PeerSettings


def peer_metrics(name: str, tables: Path, peer: PeerTraining) -> tuple[dict[str, float], float]:
    """Trains PyTorch-BigGraph on the training edges of a graph's tables.

    Returns its metrics by name, and the seconds of import, training and export.
    """
    pbg.install()
    edges = DeltaTable(tables / "edges").to_pyarrow_table(columns=_COLUMNS).to_pandas()
    for end in ("source", "target"):  # an id may stand for entities of two types
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
    """Metrics by name of a relation's new test edges of which both ends are among the entities.

    edges: the relation's; columns source, target, source_type, target_type and split.
    entities: names as in source and target, `type:id`; their vectors (n, dim).
    Candidates are all entities of the target's type but the source itself, and those that it has in training.
    """
    from_type, kind = edges[["source_type", "target_type"]].iloc[0]
    candidates = np.flatnonzero(entities.str.startswith(f"{kind}:"))
    rows = pd.DataFrame({end: entities.get_indexer(pd.Index(edges[end])) for end in ("source", "target")})
    known = rows[(edges["split"] == "train").to_numpy()]
    held = rows[(edges["split"] == "test").to_numpy() & (rows >= 0).all(axis=1).to_numpy()]
    new = held.merge(known, how="left", indicator=True)
    queries = new.loc[new["_merge"] == "left_only", ["source", "target"]].sort_values(["source", "target"])
    ranks = _ranks(queries, known, vectors, candidates, omits_source=from_type == kind)
    _, source = np.unique(queries["source"], return_inverse=True)
    return {one.metric: one.value for one in metrics_of(totals_of(ranks, source))}


def _ranks(
    queries: pd.DataFrame, known: pd.DataFrame, vectors: Floats, candidates: Integers, *, omits_source: bool
) -> Ranks:
    """Of queries in the order of their sources, by dot products, in which a translation moves no target before another.

    queries, known: columns source and target, rows of `vectors`; candidates: rows of `vectors`, ascending.
    """
    targets = known.groupby("source")["target"].agg(list)
    answering = vectors[candidates]  # (n, dim)
    among_new, filtered = [], []
    sources, first = np.unique(queries["source"].to_numpy(), return_index=True)
    for source, answers in zip(sources.tolist(), np.split(queries["target"].to_numpy(), first[1:]), strict=True):
        scores = answering @ vectors[source]
        left_out = [*targets.get(source, []), *([source] if omits_source else [])]
        own = scores[np.searchsorted(candidates, answers)]
        scores[np.searchsorted(candidates, left_out)] = -np.inf
        above = (scores > own[:, None]).sum(axis=1)
        among_new.append(1 + above)
        filtered.append(1 + above - (own > own[:, None]).sum(axis=1))
    return Ranks(*(np.concatenate(one).astype(np.float64) for one in (among_new, filtered)))
