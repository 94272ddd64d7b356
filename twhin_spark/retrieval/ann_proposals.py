"""Proposals of the approximate index, a unit of sources at a time. On the driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.topk import NO_PLACE
from twhin_spark.representations.ann_index import Contents, Index, lists_for, open_or_build
from twhin_spark.retrieval.candidate_task import Finder, Sources
from twhin_spark.retrieval.entity_files import filled
from twhin_spark.retrieval.published_version import Version

_SOURCES = 8192  # about so many are looked at to build an index
_MOST_KNOWN = 1024  # known targets of a source for which as many more are proposed


def write_proposals(
    finder: Finder, output: str, version: Version, settings: AnnConfig, progress: Callable[[str], None]
) -> float:
    """Opens or builds the index of a query's targets, and writes its proposals for all sources.

    Returns the seconds that the search took.
    """
    files, layout, query = finder.files, finder.layout, finder.query
    units = range(len(finder.cuts) - 1)

    def parts() -> Iterator[Floats]:
        for partition in filled(layout, query.target):
            yield files.measured(query.target, query.measure, partition)

    def ids() -> pa.Array:
        return pa.concat_arrays([files.ids(query.target, partition) for partition in filled(layout, query.target)])

    def some_sources() -> Floats:
        step = -(-sum(len(finder.source_places(unit)) for unit in units) // _SOURCES) or 1
        return np.concatenate([finder.sources(unit).vectors[::step] for unit in units])

    total = layout.total(query.target)
    dim = next(parts()).shape[1]
    lists = lists_for(total, settings.lists)
    contents = Contents(
        version.model_version, version.published, query.target, query.measure, query.via, total, dim, lists
    )
    index = open_or_build(output, parts, ids, some_sources, contents, progress)
    seconds = 0.0
    for unit in units:
        sources = finder.sources(unit)
        started = time.perf_counter()
        places = _proposals(index, sources, query.k, query.exclude, settings)
        seconds += time.perf_counter() - started
        files.scratch.write(f"proposals/{query.name}/{unit}", places=places)
    return seconds


def _proposals(
    index: Index, sources: Sources, k: int, exclude: tuple[int, ...], settings: AnnConfig
) -> NDArray[np.int64]:
    """Places (m, w) of the targets proposed: `refine` for each one wanted, and as many more as a source knows."""
    excluded = sources.known.source[np.isin(sources.known.relation, exclude)]
    known = np.bincount(excluded, minlength=len(sources.place)).clip(max=_MOST_KNOWN) + 1  # and itself
    steps = np.ceil(np.log2(known)).astype(np.int64)
    width = k * settings.refine + (1 << int(steps.max(initial=0)))
    places = np.full((len(sources.place), min(width, index.contents.vectors)), NO_PLACE, np.int64)
    for step in np.unique(steps).tolist():
        mine = np.flatnonzero(steps == step)
        found = index.search(sources.vectors[mine], k * settings.refine + (1 << step), settings.probes)
        places[mine, : found.shape[1]] = found
    return places
