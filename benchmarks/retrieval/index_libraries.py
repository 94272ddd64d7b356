"""The indexes that are compared: those of this project, Faiss, hnswlib and usearch, each in one thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import hnswlib
import numpy as np
import pyarrow as pa
from usearch.index import Index as UsearchIndex

from benchmarks.retrieval.index_names import OURS, PQ
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.representations.ann_index import AnnIndex, IndexDescription, number_of_lists

PROBES = (8, 16, 32, 64, 128, 256, 512)
EFFORTS = (16, 32, 64, 128, 256, 512)  # candidates that a search in a graph keeps
_LINKS, _BUILD_EFFORT = 16, 64
_FLAT_SAMPLE = 200_000  # vectors that Faiss is trained on; by default it trains on few

Search = Callable[[Floats, int], Integers]
"""A search: given sources (m, dim) and k, the numbers of their nearest targets (m, k), best first; -1 for none."""


@dataclass(frozen=True)
class BuiltIndex:
    """An index: its build's CPU seconds, its bytes, whether proposals need exact scores, and a search by setting."""

    seconds: float
    size: int
    refined: bool
    searches: Iterator[tuple[str, Search]]


def builders(targets: Floats, sources: Floats, measure: str) -> dict[str, Callable[[], BuiltIndex]]:
    """Return functions that build an index over targets (n, dim) in fixed point, by the index' name.

    sources: sources that an index may be fitted to, which are not those of the measurement.
    """
    lists, codes = number_of_lists(len(targets), None), f"PQ{targets.shape[1] // 2}x4fs"
    by_name: dict[str, Callable[[], BuiltIndex]] = {
        OURS: lambda: _ours(targets, sources, measure),
        "faiss IVF": lambda: _faiss(targets, f"IVF{lists},Flat", "nprobe", PROBES),
        PQ: lambda: _faiss(targets, codes, "", (0,)),
        "faiss HNSW": lambda: _faiss(targets, f"HNSW{_LINKS}", "efSearch", EFFORTS),
        "hnswlib HNSW": lambda: _hnswlib(targets),
        "usearch HNSW": lambda: _usearch(targets),
    }
    if measure == "dot":
        by_name["faiss HNSW, a number more"] = lambda: _lengthened(targets)
    return by_name


def _ours(targets: Floats, sources: Floats, measure: str) -> BuiltIndex:
    vectors, dim = targets.shape
    description = IndexDescription("bench", 0, "user", measure, "user", vectors, dim, number_of_lists(vectors, None))
    seconds, index = _timed(lambda: AnnIndex.build(lambda: iter([targets]), sources, description))

    searches = ((f"nprobe {probes}", partial(index.search, probes=probes)) for probes in PROBES)
    with tempfile.TemporaryDirectory() as folder:
        return BuiltIndex(seconds, index.write(Path(folder, "index"), pa.array([], pa.string())), True, searches)


def _faiss(targets: Floats, recipe: str, parameter: str, values: Sequence[int]) -> BuiltIndex:
    index: Any = faiss.index_factory(targets.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)
    if "HNSW" in recipe:
        index.hnsw.efConstruction = _BUILD_EFFORT

    def build() -> None:
        index.train(targets[:: max(1, len(targets) // _FLAT_SAMPLE)])
        index.add(targets)

    seconds, _ = _timed(build)
    return BuiltIndex(seconds, faiss.serialize_index(index).nbytes, "PQ" in recipe, _settings(index, parameter, values))


def _lengthened(targets: Floats) -> BuiltIndex:
    """Build a graph of Euclidean distances whose order is that of the inner products.

    A target x becomes (x, sqrt(M² - |x|²)), where M is the greatest norm; a source y becomes (y, 0). See Y. Bachrach
    et al.: Speeding Up the Xbox Recommender System Using a Euclidean Transformation for Inner-Product Spaces, 2014.
    """
    squares = np.vecdot(targets, targets)
    longer = np.column_stack([targets, np.sqrt(squares.max() - squares)])
    index: Any = faiss.index_factory(longer.shape[1], f"HNSW{_LINKS}", faiss.METRIC_L2)
    index.hnsw.efConstruction = _BUILD_EFFORT
    seconds, _ = _timed(lambda: index.add(longer))

    def search(sources: Floats, k: int, plain: Search) -> Integers:
        return plain(np.pad(sources, ((0, 0), (0, 1))), k)

    searches = ((setting, partial(search, plain=plain)) for setting, plain in _settings(index, "efSearch", EFFORTS))
    return BuiltIndex(seconds, faiss.serialize_index(index).nbytes, False, searches)


def _settings(index: Any, parameter: str, values: Sequence[int]) -> Iterator[tuple[str, Search]]:
    for value in values:
        if parameter:
            faiss.ParameterSpace().set_index_parameter(index, parameter, value)
        yield f"{parameter} {value}" if parameter else "", lambda sources, k: index.search(sources, k)[1]


def _hnswlib(targets: Floats) -> BuiltIndex:
    index = hnswlib.Index("ip", targets.shape[1])
    index.init_index(len(targets), M=_LINKS, ef_construction=_BUILD_EFFORT, random_seed=0)
    seconds, _ = _timed(lambda: index.add_items(targets, num_threads=1))

    def search(sources: Floats, k: int, effort: int) -> Integers:
        index.set_ef(max(effort, k))
        nearest: Integers = index.knn_query(sources, k, num_threads=1)[0].astype(np.int64)
        return nearest

    searches = ((f"ef {effort}", partial(search, effort=effort)) for effort in EFFORTS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index")
        index.save_index(str(path))
        return BuiltIndex(seconds, path.stat().st_size, False, searches)


def _usearch(targets: Floats) -> BuiltIndex:
    index = UsearchIndex(
        ndim=targets.shape[1], metric="ip", dtype="f32", connectivity=_LINKS, expansion_add=_BUILD_EFFORT
    )
    seconds, _ = _timed(lambda: index.add(np.arange(len(targets)), targets, threads=1))

    def search(sources: Floats, k: int, effort: int) -> Integers:
        index.expansion_search = max(effort, k)
        nearest: Integers = np.asarray(index.search(sources, k, threads=1).keys).astype(np.int64)
        return nearest.reshape(len(sources), -1)

    searches = ((f"ef {effort}", partial(search, effort=effort)) for effort in EFFORTS)
    return BuiltIndex(seconds, int(index.serialized_length), False, searches)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of the work, and its result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result
