"""Proposals of the approximate index for all sources of a query, unit by unit. On the driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.topk import NO_POSITION
from twhin_spark.representations.ann_index import AnnIndex, IndexDescription, number_of_lists, open_or_build_index
from twhin_spark.retrieval.candidate_task import CandidateFinder, UnitSources
from twhin_spark.retrieval.published_version import PublishedVersion

_SAMPLED_SOURCES = 8192  # about as many sources are sampled to build an index
_MOST_EXCLUDED = 1024  # excluded targets of a source for which it gets more proposals


def write_proposals(
    finder: CandidateFinder,
    output: str,
    version: PublishedVersion,
    settings: AnnConfig,
    progress: Callable[[str], None],
) -> float:
    """Write the proposals for all sources of a query. The index of its targets is opened, or built.

    Parameters
    ----------
    finder
        Finder of the query.
    output
        Path of the config's output, which has the indexes.
    version
        Version of the vectors.
    settings
        The section `retrieval.ann` of the config.
    progress
        Function that is called with a line after a build.

    Returns
    -------
    float
        Seconds of the search.
    """
    files, layout, query = finder.files, finder.layout, finder.query

    def parts() -> Iterator[Floats]:
        for partition in layout.filled(query.target):
            yield files.target_vectors(query.target, query.measure, partition)

    def ids() -> pa.Array:
        return files.all_ids(layout, query.target)

    def sample_sources() -> Floats:
        total = sum(len(finder.source_positions(unit)) for unit in range(finder.units))
        step = -(-total // _SAMPLED_SOURCES) or 1
        return np.concatenate([finder.sources(unit).vectors[::step] for unit in range(finder.units)])

    total = layout.total(query.target)
    description = IndexDescription(
        model_version=version.model_version,
        published=version.published,
        entity_type=query.target,
        measure=query.measure,
        via=query.via,
        vectors=total,
        dim=next(parts()).shape[1],
        lists=number_of_lists(total, settings.lists),
    )
    index = open_or_build_index(output, parts, ids, sample_sources, description, progress)
    seconds = 0.0
    for unit in range(finder.units):
        sources = finder.sources(unit)
        started = time.perf_counter()
        positions = _propose(index, sources, query.k, query.exclude, settings)
        seconds += time.perf_counter() - started
        files.scratch.write(f"proposals/{query.name}/{unit}", positions=positions)
    return seconds


def _propose(
    index: AnnIndex, sources: UnitSources, k: int, exclude: tuple[int, ...], settings: AnnConfig
) -> NDArray[np.int64]:
    """Return the positions (m, w) of proposed targets: k · `refine`, and 2^s more for each source.

    2^s is the least power of two that covers the source's excluded targets and the source itself. Sources with the same
    s are searched together. With k = 10 and `refine` = 8, a source with 5 excluded targets gets 80 + 8 proposals.
    """
    excluded = sources.known_edges.source[np.isin(sources.known_edges.relation, exclude)]
    covered = np.bincount(excluded, minlength=len(sources.position)).clip(max=_MOST_EXCLUDED) + 1
    steps = np.ceil(np.log2(covered)).astype(np.int64)
    width = k * settings.refine + (1 << int(steps.max(initial=0)))
    positions = np.full((len(sources.position), min(width, index.description.vectors)), NO_POSITION, np.int64)
    for step in np.unique(steps).tolist():
        group = np.flatnonzero(steps == step)
        proposed = index.search(sources.vectors[group], k * settings.refine + (1 << step), settings.probes)
        positions[group, : proposed.shape[1]] = proposed
    return positions
