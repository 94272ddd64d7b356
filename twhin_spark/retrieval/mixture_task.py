"""Candidates drawn from mixtures over clusters of targets (kernels/mixtures.py); the tasks' work over files.

A cluster's candidates for a source are those with the highest scores under the query. In kNN-Embed they are those next
to the centroid of what the source engaged with there; by the query's own score a task needs no more of a neighbour
than its mixture, and a cluster that only neighbours know has candidates too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from twhin_spark.graph.entity_location import positions_in
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.clusters import nearest_centroids, spherical_kmeans
from twhin_spark.kernels.exact_ranks import Excluded
from twhin_spark.kernels.mixtures import draw, mixtures, smoothed
from twhin_spark.kernels.pair_scores import Sparse
from twhin_spark.kernels.topk import NO_PLACE, Best, Candidates, TopK, unit_vectors
from twhin_spark.retrieval.candidate_task import Finder, Work
from twhin_spark.retrieval.entity_files import Files, filled

if TYPE_CHECKING:  # workers have no pydantic
    from twhin_spark.config.retrieval import MixturesConfig

_SAMPLE = 512  # vectors a cluster that k-means sees


def cluster_targets(finder: Finder, settings: MixturesConfig, progress: Callable[[str], None]) -> int:
    """On the driver: clusters a query's targets and writes the cluster of each; returns the number of clusters."""
    files, layout, name = finder.files, finder.layout, finder.query.target
    step = max(1, layout.total(name) // (_SAMPLE * settings.clusters))
    sample: list[Floats] = []
    first: int = 0
    for partition in filled(layout, name):
        vectors = files.vectors(name, partition)
        sample.append(unit_vectors(vectors[-first % step :: step]))
        first += len(vectors)
    rng = np.random.default_rng(settings.seed)
    drawn = np.concatenate(sample)
    clusters = min(settings.clusters, int(np.any(drawn != 0, axis=1).sum()))
    centroids = spherical_kmeans(drawn, clusters, rng, iterations=settings.iterations).centroids
    sizes = np.zeros(len(centroids), np.int64)
    for partition in filled(layout, name):
        labels, _ = nearest_centroids(unit_vectors(files.vectors(name, partition)), centroids)
        sizes += np.bincount(labels, minlength=len(centroids))
        files.scratch.write(f"clusters/{finder.query.name}/{partition}", labels=labels)
    shown = f"{len(centroids)} clusters of {sizes.min():,} to {sizes.max():,}, median {int(np.median(sizes)):,}"
    progress(f"{finder.query.name}: {shown} {name} vectors")
    return len(centroids)


@dataclass(frozen=True)
class MixtureTask:
    """What the tasks of a query share; neighbours and smoothing as in the config."""

    finder: Finder
    clusters: int
    neighbours: int
    smoothing: float

    @property
    def files(self) -> Files:
        return self.finder.files

    def labels(self, partition: int) -> NDArray[np.int64]:
        """The cluster of each target of a partition (n,)."""
        return self.files.scratch.read(f"clusters/{self.finder.query.name}/{partition}")["labels"]

    def write_mixtures(self, unit: int) -> Work:
        """Writes what the entities of the source type in the unit's partitions are mixtures of."""
        started = time.perf_counter()
        query, layout = self.finder.query, self.finder.layout
        by_row = {part: self._by_row(part) for part in filled(layout, query.target)}
        count = 0
        for partition in range(self.finder.cuts[unit], self.finder.cuts[unit + 1]):
            if not (sources := int(layout.counts[query.source][partition])):
                continue
            known = self.files.known(query, partition)
            cluster = np.full(len(known.source), -1)
            for part in np.unique(known.partition).tolist():
                if part in by_row:
                    rows, labels = by_row[part]
                    mine = np.flatnonzero(known.partition == part)
                    at = positions_in(known.row[mine], rows)
                    cluster[mine] = np.where(at >= 0, labels[at], -1)
            engaged = (cluster >= 0) & np.isin(known.relation, query.engaged)
            own = mixtures(known.source[engaged], cluster[engaged], sources, self.clusters)
            name = f"mixtures/{query.name}/{partition}"
            self.files.scratch.write(name, data=own.data, indices=own.indices, indptr=own.indptr)
            count += sources
        return Work(count, 0.0, time.perf_counter() - started, 0.0)

    def find(self, unit: int) -> Work:
        """Draws the candidates of the unit's sources."""
        started = time.perf_counter()
        query, sources = self.finder.query, self.finder.sources(unit)
        weights = self._weights(unit, sources.place)
        tops: dict[int, tuple[Integers, TopK]] = {}
        by_cluster = weights.tocsc()
        for cluster in range(self.clusters):
            mine: Integers = np.sort(by_cluster.indices[by_cluster.indptr[cluster] : by_cluster.indptr[cluster + 1]])
            if len(mine):
                tops[cluster] = mine, TopK(sources.vectors[mine], query.k)
        for target in self.finder.targets():
            hidden = self.finder.excluded(sources, target)
            candidates = target.candidates
            first = self.finder.layout.first(query.target, target.partition)
            labels = self.labels(target.partition)[candidates.place - first]
            for cluster, (mine, top) in tops.items():
                here = np.flatnonzero(labels == cluster)
                few = Candidates(candidates.vectors[here], candidates.key[here], candidates.place[here])
                top.add(few, _within(hidden, mine, here))
        self.finder.write(unit, _drawn(tops, weights, len(sources.place), query.k))
        return Work(len(sources.place), 0.0, time.perf_counter() - started, 0.0)

    def _weights(self, unit: int, place: NDArray[np.int64]) -> Sparse:
        """The smoothed mixtures (m, clusters) of the sources at some places."""
        everyone = self._mixtures()
        own = everyone[place]
        if not self.neighbours or not self.smoothing:
            return own
        return smoothed(own, self._neighbours(unit, everyone), everyone, self.smoothing)

    def _neighbours(self, unit: int, everyone: Sparse) -> NDArray[np.int64]:
        """The places (m, neighbours) of the nearest sources, by cosine, that engaged with anything."""
        query = self.finder.query
        alike = replace(self.finder, query=replace(query, measure="cosine", parameters=type(query.parameters)()))
        sources = alike.sources(unit)
        top = TopK(sources.vectors, self.neighbours)
        active = np.diff(everyone.indptr) > 0
        for partition in filled(self.finder.layout, query.source):
            first = self.finder.layout.first(query.source, partition)
            vectors = self.files.vectors(query.source, partition)
            here = np.flatnonzero(active[first : first + len(vectors)])
            key = self.files.order(query.source, partition)["key"][here]
            candidates = Candidates(unit_vectors(vectors[here]), key, first + here)
            itself = positions_in(sources.place, candidates.place)
            top.add(candidates, Excluded(np.flatnonzero(itself >= 0), itself[itself >= 0]))
        return top.best().places

    def _mixtures(self) -> Sparse:
        """The mixtures of all entities of the source type, by place."""
        query, layout = self.finder.query, self.finder.layout
        data, indices, indptr = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(1, np.int64)]
        for partition in filled(layout, query.source):
            part = self.files.scratch.read(f"mixtures/{query.name}/{partition}")
            data.append(part["data"])
            indices.append(part["indices"])
            indptr.append(part["indptr"][1:] + indptr[-1][-1])
        shape = layout.total(query.source), self.clusters
        return csr_array((np.concatenate(data), np.concatenate(indices), np.concatenate(indptr)), shape=shape)

    def _by_row(self, partition: int) -> tuple[Integers, Integers]:
        """The rows of a partition's targets, ascending, and their clusters."""
        rows = self.files.order(self.finder.query.target, partition)["row"]
        order = np.argsort(rows, kind="stable")
        return rows[order], self.labels(partition)[order]


def _within(pairs: Excluded, queries: Integers, candidates: Integers) -> Excluded:
    """The pairs of some queries and candidates (ascending), by their numbers there."""
    query, candidate = positions_in(pairs.query, queries), positions_in(pairs.candidate, candidates)
    both = (query >= 0) & (candidate >= 0)
    return Excluded(query[both], candidate[both])


def _drawn(tops: dict[int, tuple[Integers, TopK]], weights: Sparse, sources: int, k: int) -> Best:
    """The lists of all sources, drawn from the best of each cluster."""
    parts: list[tuple[NDArray[np.generic], ...]] = []
    for cluster, (mine, top) in tops.items():
        best = top.best()
        row, column = np.nonzero(best.places >= 0)
        weight = weights[:, [cluster]].toarray().ravel()[mine]  # (sources of the cluster,)
        parts.append((mine[row], weight[row], column + 1, best.scores[row, column], best.places[row, column]))
    found = Best(np.full((sources, k), -np.inf), np.full((sources, k), NO_PLACE, np.int64))
    if parts:
        row, weight, rank, score, place = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        picked = draw(row, weight, rank, score, k)
        mine = row[picked]
        at = mine, np.arange(len(mine)) - np.searchsorted(mine, mine)
        found.scores[at], found.places[at] = score[picked], place[picked]
    return found
