"""Searches on planted graphs: objective, agreement with the planted communities, time and memory of each method."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import sparse

from benchmarks.communities.peers import install
from benchmarks.communities.planted import PlantedCommunities, agreement
from benchmarks.communities.records import Part
from benchmarks.console import progress
from benchmarks.machine import cpu_name, today
from benchmarks.paths import BUILD, ROOT
from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.communities import find_communities, potts_graph, quality

GRAPHS = (
    *(PlantedCommunities(20_000, 200_000, 20, noise) for noise in (0.3, 0.6, 0.75)),
    *(PlantedCommunities(100_000, 1_000_000, 20, noise) for noise in (0.3, 0.6, 0.75)),
    *(PlantedCommunities(1_000_000, 10_000_000, 20, noise) for noise in (0.3, 0.6, 0.75)),
)
SEEDS = {"levels": (0, 1, 2), "leiden": (0, 1, 2), "lpa": (0,), "metropolis": (0,)}
_LARGE = 2_000_000  # edges; a larger graph is searched with one seed


def measure(planted: PlantedCommunities) -> Part:
    """Run all methods on a graph; return the best of the seeds of each by objective."""
    folder = BUILD / "communities"
    folder.mkdir(parents=True, exist_ok=True)
    matrix, truth = planted.draw()
    np.savez(folder / "graph.npz", indptr=matrix.indptr, indices=matrix.indices)
    graph = potts_graph(matrix, planted.resolution)
    methods = {}
    for method, seeds in SEEDS.items():
        runs = []
        for seed in seeds if planted.edges <= _LARGE else seeds[:1]:
            run, labels = _search(method, folder, planted.resolution, seed)
            run |= {"objective": quality(graph, _numbered(labels)), "nmi": agreement(labels, truth), "seed": seed}
            progress(f"{planted.name} {method} seed {seed}: {run}")
            runs.append(run)
        best = max(runs, key=lambda run: run["objective"])
        methods[method] = {**best, "seconds": float(np.median([run["seconds"] for run in runs])), "runs": len(runs)}
    return {
        "nodes": planted.nodes, "edges": int(matrix.nnz // 2), "noise": planted.noise, "methods": methods,
        "truth": quality(graph, truth), "load": os.getloadavg()[0], "cpu": cpu_name(), "date": today(),
    }  # fmt: skip


def measure_identity() -> Part:
    """Replace a tenth of a graph's edges; return how many nodes keep the number of their community."""
    planted = PlantedCommunities(20_000, 200_000, 20, 0.3)
    first, truth = planted.draw(0)
    other, _ = planted.draw(1)
    kept = sparse.triu(first).tocoo()
    added = sparse.triu(other).tocoo()
    rng = np.random.default_rng(0)
    stay, come = rng.random(kept.nnz) >= 0.1, rng.random(added.nnz) < 0.1
    ends = [np.concatenate([kept.coords[i][stay], added.coords[i][come]]) for i in (0, 1)]
    both = (np.concatenate(ends), np.concatenate(ends[::-1]))
    second = sparse.coo_array((np.ones(len(both[0])), both), shape=first.shape).tocsr()
    second.data[:] = 1
    yesterday = find_communities(potts_graph(first, planted.resolution), seed=0)
    graph = potts_graph(sparse.csr_array(second), planted.resolution)
    result: Part = {}
    for name, start in (("warm", yesterday), ("cold", None)):
        today_labels = find_communities(graph, seed=1, start=start)
        result[name] = {
            "kept": float(np.mean(today_labels == yesterday)),
            "nmi": agreement(today_labels, truth),
            "objective": quality(graph, today_labels),
        }
    return result


def _search(method: str, folder: Path, resolution: float, seed: int) -> tuple[Part, Integers]:
    python = install() if method in ("leiden", "lpa") else sys.executable
    labels = folder / f"{method}.npy"
    arguments = [method, str(folder / "graph.npz"), str(labels), str(resolution), str(seed)]
    command = [python, "-m", "benchmarks.communities.search", *arguments]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    run: Part = json.loads(done.stdout.splitlines()[-1])
    return run, np.load(labels)


def _numbered(labels: Integers) -> Integers:
    return np.unique(labels, return_inverse=True)[1]
