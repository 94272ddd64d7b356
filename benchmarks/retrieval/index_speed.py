"""Recall and speed of indexes beside the exact top k, by CPU time of one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.console import progress
from benchmarks.retrieval.index_libraries import BuiltIndex, Search, builders
from benchmarks.retrieval.index_names import EXACT
from benchmarks.retrieval.vector_sets import VectorSet
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.exact_ranks import CANDIDATE_TILE, QUERY_TILE, Excluded
from twhin_spark.kernels.topk import Candidates, TopK, exact_scores

KS = (10, 100)
_SEARCHED = 1000  # sources of a search in an index
_REFINES = (1, 4, 16)
_MOST_PROPOSED = 1024
_PARTS = 32  # parts of the targets in the exact search, as in the job
_PRODUCTS = 100
_REPEATS = 3


@dataclass(frozen=True)
class IndexRow:
    """Measurements of one setting of one index.

    seconds: CPU seconds for each source.
    build_seconds: CPU seconds of the index' build.
    bytes: size of the index' file.
    proposed: targets that are scored exactly for each one wanted; 0 if the index' own scores decide.
    """

    index: str
    setting: str
    k: int
    recall: float
    seconds: float
    build_seconds: float = 0.0
    bytes: int = 0
    proposed: int = 0
    share_of_sgemm: float | None = None


def measure(name: str, vectors: VectorSet, dot: bool, only: str = "") -> list[IndexRow]:
    """Measure the exact search, then all indexes whose name contains `only`, at all settings."""
    rows, truth = _exact(vectors)
    for row in rows:
        progress(f"{name}: {_shown(row)}")
    sources, similarity = np.ascontiguousarray(vectors.sources[:_SEARCHED]), "dot" if dot else "cosine"
    for index, build in builders(vectors.targets, vectors.sources[_SEARCHED:], similarity).items():
        if only in index:
            built = build()
            progress(f"{name}: {index}, {built.seconds:.0f} s to build, {built.size / 1e6:.0f} MB")
            for row in _searched(index, built, sources, vectors.targets, truth):
                progress(f"{name}: {_shown(row)}")
                rows.append(row)
    return rows


def _exact(vectors: VectorSet) -> tuple[list[IndexRow], dict[int, Integers]]:
    """Measure the exact search; return its rows and, by k, its targets of the first sources (_SEARCHED, k)."""
    rows, truth = [], {}
    products = _products_alone(vectors)
    for k in KS:
        seconds, nearest = _cpu(lambda: _top(vectors, k))  # noqa: B023 - called at once
        truth[k] = nearest[:_SEARCHED]
        rows.append(IndexRow(EXACT, "", k, 1.0, seconds / len(vectors.sources), share_of_sgemm=products / seconds))
    return rows, truth


def _products_alone(vectors: VectorSet) -> float:
    """Return the seconds of the float32 products of all sources and targets, in the kernel's tiles, without a top k."""
    left, right = vectors.sources[:QUERY_TILE], vectors.targets[:CANDIDATE_TILE].T
    out = np.empty((len(left), right.shape[1]), np.float32)
    seconds, _ = _fastest(lambda: [np.matmul(left, right, out=out) for _ in range(_PRODUCTS)])
    return seconds / _PRODUCTS / out.size * len(vectors.sources) * len(vectors.targets)


def _top(vectors: VectorSet, k: int) -> Integers:
    none = Excluded(np.zeros(0, np.int64), np.zeros(0, np.int64))
    top = TopK(vectors.sources, k)
    for part in np.array_split(np.arange(len(vectors.targets)), _PARTS):
        top.add(Candidates(vectors.targets[part[0] : part[-1] + 1], part, part), none)
    return top.best().positions


def _searched(
    index: str, built: BuiltIndex, sources: Floats, targets: Floats, truth: dict[int, Integers]
) -> Iterator[IndexRow]:
    for setting, search in built.searches:
        for k in KS:
            for refine in [refine for refine in _REFINES if refine * k <= _MOST_PROPOSED] if built.refined else [0]:
                seconds, nearest = _fastest(lambda: _refined(search, sources, targets, k, refine))  # noqa: B023
                recall = _recall(nearest, truth[k])
                yield IndexRow(index, setting, k, recall, seconds / len(sources), built.seconds, built.size, refine)


def _refined(search: Search, sources: Floats, targets: Floats, k: int, refine: int) -> Integers:
    """Return the best k of refine · k proposals by exact scores, as the job does; refine 0: by the index' scores."""
    if not refine:
        return search(sources, k)
    proposed = search(sources, refine * k)
    source, column = np.nonzero(proposed >= 0)
    scores = np.full(proposed.shape, -np.inf)
    scores[source, column] = exact_scores(sources, targets, source, proposed[source, column])
    best: Integers = np.take_along_axis(proposed, np.argsort(-scores, axis=1)[:, :k], axis=1)
    return best


def _recall(nearest: Integers, truth: Integers) -> float:
    """Return the mean share of the true targets (m, k) that are among those found (m, k)."""
    hits = sum(len(np.intersect1d(row, true_row)) for row, true_row in zip(nearest, truth, strict=True))
    return hits / truth.size


def _fastest(work: Callable[[], Any]) -> tuple[float, Any]:
    runs = [_cpu(work) for _ in range(_REPEATS)]
    return min(runs, key=lambda run: run[0])


def _cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _shown(row: IndexRow) -> str:
    proposed = f", {row.proposed} proposed for each" if row.proposed else ""
    return f"{row.index} {row.setting}{proposed}: recall@{row.k} {row.recall:.3f}, {1 / row.seconds:,.0f} a second"
