"""One search for communities in a process of its own, so that its time and memory are its alone.

`python -m benchmarks.communities.search METHOD GRAPH.npz LABELS.npy RESOLUTION SEED` prints seconds and peak bytes. The
methods leiden and lpa need igraph and run in the peers' environment; this module therefore imports ours only if it is
asked for.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from pathlib import Path

import numpy as np


def main(method: str, graph: str, labels: str, resolution: float, seed: int) -> None:
    """Read a graph, search, and write the label of each node."""
    with np.load(graph) as arrays:
        indptr, indices = arrays["indptr"], arrays["indices"]
    run = _igraph if method in ("leiden", "lpa") else _ours
    seconds, found = run(method, indptr, indices, resolution, seed)
    np.save(labels, found)
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_bytes": _peak_bytes()}) + "\n")


def _peak_bytes() -> int:
    """Return the most memory that the process had resident; `getrusage` would count what its parent had."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])  # type: ignore[index]


def _igraph(
    method: str, indptr: np.ndarray, indices: np.ndarray, resolution: float, seed: int
) -> tuple[float, np.ndarray]:
    import igraph  # type: ignore[import-not-found]

    random.seed(seed)  # igraph draws from Python's generator
    source = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    once = source < indices
    network = igraph.Graph(n=len(indptr) - 1, edges=np.column_stack([source[once], indices[once]]))
    started = time.process_time()
    if method == "leiden":
        found = network.community_leiden(objective_function="CPM", resolution=resolution, n_iterations=10)
    else:
        found = network.community_label_propagation()
    return time.process_time() - started, np.array(found.membership)


def _ours(
    method: str, indptr: np.ndarray, indices: np.ndarray, resolution: float, seed: int
) -> tuple[float, np.ndarray]:
    from scipy import sparse

    from twhin_spark.kernels.communities import find_communities, potts_graph, walk_communities

    count = len(indptr) - 1
    # SimClusters draws moves by exp(gain), with weights that α, 10 by default, multiplies.
    factor = 10.0 if method == "metropolis" else 1.0
    matrix = sparse.csr_array((np.full(len(indices), factor), indices, indptr), shape=(count, count))
    started = time.process_time()
    graph = potts_graph(matrix, factor * resolution)
    labels = find_communities(graph, seed) if method == "levels" else walk_communities(graph, seed)
    return time.process_time() - started, labels


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
