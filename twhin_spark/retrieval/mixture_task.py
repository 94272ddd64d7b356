"""Candidates drawn from mixtures over clusters of targets (kernels/mixtures.py). Tasks run on workers, over files.

The candidates of a cluster for a source are the targets of the cluster with the highest scores under the query. In
kNN-Embed they are the targets next to the centroid of those targets in the cluster that the source engaged with. With
the query's score, a task needs only the mixtures of a source's neighbours, and a cluster that only neighbours engaged
with has candidates, too.

For example, a source with k = 5 and the mixture {sports: 0.6, music: 0.4} gets the first three targets of sports and
the first two of music: S1 M1 S2 M2 S3. Each next target has the lowest (rank - 1/2) / weight, which is 0.83, 2.5 and
4.17 for S1 to S3, and 1.25 and 3.75 for M1 and M2.
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
from twhin_spark.kernels.mixtures import draw_in_proportion, mixtures, smooth_mixtures
from twhin_spark.kernels.pair_scores import Sparse
from twhin_spark.kernels.topk import NO_POSITION, BestCandidates, Candidates, TopK, unit_vectors
from twhin_spark.retrieval.candidate_task import CandidateFinder, UnitStats
from twhin_spark.retrieval.entity_files import EntityFiles
from twhin_spark.retrieval.resolved_query import RelationOperator

if TYPE_CHECKING:  # workers have no pydantic
    from twhin_spark.config.retrieval import MixturesConfig

_SAMPLE = 512  # vectors for each cluster that k-means uses


def cluster_targets(finder: CandidateFinder, settings: MixturesConfig, progress: Callable[[str], None]) -> int:
    """Cluster a query's targets, write the cluster of each, and return the number of clusters. Runs on the driver."""
    files, layout, target = finder.files, finder.layout, finder.query.target
    step = max(1, layout.total(target) // (_SAMPLE * settings.clusters))
    parts: list[Floats] = []
    first: int = 0
    for partition in layout.filled(target):
        vectors = files.vectors(target, partition)
        parts.append(unit_vectors(vectors[-first % step :: step]))
        first += len(vectors)
    rng = np.random.default_rng(settings.seed)
    sample = np.concatenate(parts)
    clusters = min(settings.clusters, int(np.any(sample != 0, axis=1).sum()))
    centroids = spherical_kmeans(sample, clusters, rng, iterations=settings.iterations).centroids
    sizes = np.zeros(len(centroids), np.int64)
    for partition in layout.filled(target):
        labels, _ = nearest_centroids(unit_vectors(files.vectors(target, partition)), centroids)
        sizes += np.bincount(labels, minlength=len(centroids))
        files.scratch.write(f"clusters/{finder.query.name}/{partition}", labels=labels)
    sizes_text = f"{len(centroids)} clusters of {sizes.min():,} to {sizes.max():,}, median {int(np.median(sizes)):,}"
    progress(f"{finder.query.name}: {sizes_text} {target} vectors")
    return len(centroids)


@dataclass(frozen=True)
class MixtureTask:
    """The work of a query's tasks.

    Attributes
    ----------
    finder
        Finder of the query.
    clusters
        Number of clusters.
    neighbours, smoothing
        As in the section `retrieval.mixtures` of the config.
    """

    finder: CandidateFinder
    clusters: int
    neighbours: int
    smoothing: float

    @property
    def files(self) -> EntityFiles:
        """The files of the entities."""
        return self.finder.files

    def labels(self, partition: int) -> NDArray[np.int64]:
        """Return the cluster of each target of a partition (n,)."""
        return self.files.scratch.read(f"clusters/{self.finder.query.name}/{partition}")["labels"]

    def write_mixtures(self, unit: int) -> UnitStats:
        """Write the mixtures of the entities of the source type in the unit's partitions."""
        started = time.perf_counter()
        query, layout = self.finder.query, self.finder.layout
        by_row = {partition: self._labels_by_row(partition) for partition in layout.filled(query.target)}
        count = 0
        for partition in range(self.finder.bounds[unit], self.finder.bounds[unit + 1]):
            if not (sources := int(layout.counts[query.source][partition])):
                continue
            known_edges = self.files.known_edges(query, partition)
            cluster = np.full(len(known_edges.source), -1)
            for target_partition in np.unique(known_edges.partition).tolist():
                if target_partition in by_row:
                    rows, labels = by_row[target_partition]
                    edges = np.flatnonzero(known_edges.partition == target_partition)
                    position = positions_in(known_edges.row[edges], rows)
                    cluster[edges] = np.where(position >= 0, labels[position], -1)
            engaged = (cluster >= 0) & np.isin(known_edges.relation, query.engaged)
            mixture = mixtures(known_edges.source[engaged], cluster[engaged], sources, self.clusters)
            name = f"mixtures/{query.name}/{partition}"
            self.files.scratch.write(name, data=mixture.data, indices=mixture.indices, indptr=mixture.indptr)
            count += sources
        return UnitStats(count, 0.0, time.perf_counter() - started, 0.0)

    def find(self, unit: int) -> UnitStats:
        """Draw the candidates of the unit's sources and write them."""
        started = time.perf_counter()
        query, sources = self.finder.query, self.finder.sources(unit)
        weights = self._weights(unit, sources.position)
        tops: dict[int, tuple[Integers, TopK]] = {}
        by_cluster = weights.tocsc()
        for cluster in range(self.clusters):
            members: Integers = np.sort(by_cluster.indices[by_cluster.indptr[cluster] : by_cluster.indptr[cluster + 1]])
            if len(members):
                tops[cluster] = members, TopK(sources.vectors[members], query.k)
        for target in self.finder.targets():
            excluded = self.finder.excluded(sources, target)
            candidates = target.candidates
            first = self.finder.layout.first_position(query.target, target.partition)
            labels = self.labels(target.partition)[candidates.position - first]
            for cluster, (members, top) in tops.items():
                rows = np.flatnonzero(labels == cluster)
                of_cluster = Candidates(candidates.vectors[rows], candidates.key[rows], candidates.position[rows])
                top.add(of_cluster, _within(excluded, members, rows))
        self.finder.write(unit, _draw_lists(tops, weights, len(sources.position), query.k))
        return UnitStats(len(sources.position), 0.0, time.perf_counter() - started, 0.0)

    def _weights(self, unit: int, position: NDArray[np.int64]) -> Sparse:
        """Return the smoothed mixtures (m, clusters) of the sources at some positions."""
        all_mixtures = self._mixtures()
        unsmoothed = all_mixtures[position]
        if not self.neighbours or not self.smoothing:
            return unsmoothed
        return smooth_mixtures(unsmoothed, self._neighbours(unit, all_mixtures), all_mixtures, self.smoothing)

    def _neighbours(self, unit: int, all_mixtures: Sparse) -> NDArray[np.int64]:
        """Return the positions (m, neighbours) of the nearest sources, by cosine, that engaged with a target."""
        query = self.finder.query
        by_cosine = replace(self.finder, query=replace(query, measure="cosine", operator=RelationOperator()))
        sources = by_cosine.sources(unit)
        top = TopK(sources.vectors, self.neighbours)
        active = np.diff(all_mixtures.indptr) > 0
        for partition in self.finder.layout.filled(query.source):
            first = self.finder.layout.first_position(query.source, partition)
            vectors = self.files.vectors(query.source, partition)
            rows = np.flatnonzero(active[first : first + len(vectors)])
            key = self.files.order(query.source, partition)["key"][rows]
            candidates = Candidates(unit_vectors(vectors[rows]), key, first + rows)
            itself = positions_in(sources.position, candidates.position)
            top.add(candidates, Excluded(np.flatnonzero(itself >= 0), itself[itself >= 0]))
        return top.best().positions

    def _mixtures(self) -> Sparse:
        """Read the mixtures of all entities of the source type, by position."""
        query, layout = self.finder.query, self.finder.layout
        data, indices, indptr = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(1, np.int64)]
        for partition in layout.filled(query.source):
            part = self.files.scratch.read(f"mixtures/{query.name}/{partition}")
            data.append(part["data"])
            indices.append(part["indices"])
            indptr.append(part["indptr"][1:] + indptr[-1][-1])
        shape = layout.total(query.source), self.clusters
        return csr_array((np.concatenate(data), np.concatenate(indices), np.concatenate(indptr)), shape=shape)

    def _labels_by_row(self, partition: int) -> tuple[Integers, Integers]:
        """Return the graph rows of a partition's targets, ascending, and their clusters."""
        rows = self.files.order(self.finder.query.target, partition)["row"]
        order = np.argsort(rows, kind="stable")
        return rows[order], self.labels(partition)[order]


def _within(pairs: Excluded, queries: Integers, candidates: Integers) -> Excluded:
    """Return the pairs of some queries and candidates (ascending), as indices into these."""
    query, candidate = positions_in(pairs.query, queries), positions_in(pairs.candidate, candidates)
    both = (query >= 0) & (candidate >= 0)
    return Excluded(query[both], candidate[both])


def _draw_lists(tops: dict[int, tuple[Integers, TopK]], weights: Sparse, sources: int, k: int) -> BestCandidates:
    """Draw the lists of all sources from the best candidates of each cluster.

    tops: by cluster, the sources whose mixtures have it and their best candidates there.
    """
    parts: list[tuple[NDArray[np.generic], ...]] = []
    for cluster, (members, top) in tops.items():
        best = top.best()
        row, column = np.nonzero(best.positions >= 0)
        weight = weights[:, [cluster]].toarray().ravel()[members]  # (members,)
        parts.append((members[row], weight[row], column + 1, best.scores[row, column], best.positions[row, column]))
    lists = BestCandidates(np.full((sources, k), -np.inf), np.full((sources, k), NO_POSITION, np.int64))
    if parts:
        source, weight, rank, score, position = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        drawn = draw_in_proportion(source, weight, rank, score, k)
        source = source[drawn]
        cells = source, np.arange(len(source)) - np.searchsorted(source, source)
        lists.scores[cells], lists.positions[cells] = score[drawn], position[drawn]
    return lists
