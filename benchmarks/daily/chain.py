"""Chains of versions: each trained cold or from the one before, by the kernels of a training task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.daily.data import Edges, Known, TimedSet
from twhin_spark.kernels.alignment import LinearMap, fit_alignment, fit_linear_map
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.gradients import LossSettings
from twhin_spark.kernels.initial_vectors import initial_vectors
from twhin_spark.kernels.losses import Softmax
from twhin_spark.kernels.model import DirectionParameters, EntityRows, Model, RelationModel
from twhin_spark.kernels.model import Edges as KernelEdges
from twhin_spark.kernels.neighbour_vectors import SeenThrough, mean_of_neighbours
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.training_pass import TrainSettings, train_edges

INIT_SCALE = 0.01
_KEYS = {"user": 1_000_000, "artist": 2_000_000, "tag": 3_000_000}  # keep the first vectors of the types apart


@dataclass(frozen=True)
class ChainVersion:
    """A version: vectors and accumulators of all ids by type, relations' parameters, and the edges it was trained on.

    `trained` counts every pass over an edge.
    """

    entities: Mapping[str, EntityRows]
    relations: Mapping[int, RelationModel]
    trained: int = 0

    def copied(self) -> ChainVersion:
        entities = {
            name: EntityRows(rows.vectors.copy(), rows.accumulators.copy()) for name, rows in self.entities.items()
        }
        relations = {
            number: RelationModel(
                relation.source_type,
                relation.target_type,
                relation.operator,
                relation.weight,
                DirectionParameters(relation.forward.values.copy(), relation.forward.accumulators.copy()),
            )
            for number, relation in self.relations.items()
        }
        return ChainVersion(entities, relations)


def cold(data: TimedSet, version: int, seed: int) -> ChainVersion:
    """Train a version from random vectors."""
    dim = data.options.dim
    entities = {
        name: EntityRows(_first_vectors(np.arange(count), name, dim, seed), np.zeros(count, np.float32))
        for name, count in data.counts.items()
    }
    relations = {}
    for number, relation in enumerate(data.relations):
        values = OPERATORS[relation.operator].initial_parameters(dim)
        parameters = DirectionParameters(values, np.zeros_like(values))
        relations[number] = RelationModel(
            relation.source, relation.target, relation.operator, relation.weight, parameters
        )
    return _train(data, version, ChainVersion(entities, relations), data.options.epochs, seed)


def warm(data: TimedSet, version: int, before: ChainVersion, seed: int, *, anchor: float = 0.0) -> ChainVersion:
    """Train a version from the one before, for a quarter of the epochs, as `training.start` does by default.

    anchor: `training.start.anchor.strength`.
    """
    start, known = before.copied(), data.known(version - 1)
    _add_new_entities(data, version, start, known, seed)
    epochs = max(1, data.options.epochs // 4)
    return _train(data, version, start, epochs, seed + 100 * version, anchor=anchor, known=known)


def aligned(data: TimedSet, version: int, after: ChainVersion, before: ChainVersion) -> ChainVersion:
    """Return a version in the coordinates of the one before, as `publish` does by default."""
    _, cross, _ = _products(data, version, after, before)
    for number, relation in after.relations.items():
        if relation.operator == "translation":
            cross = cross + np.outer(relation.forward.values, before.relations[number].forward.values)
    alignment = fit_alignment(cross, {relation.operator for relation in after.relations.values()})
    turned = after.copied()
    for rows in turned.entities.values():
        rows.vectors[:] = alignment.vectors(rows.vectors)
    for relation in turned.relations.values():
        relation.forward.values[:] = alignment.parameters(relation.operator, relation.forward.values)
    return ChainVersion(turned.entities, turned.relations, after.trained)


def backward_map(data: TimedSet, version: int, after: ChainVersion, before: ChainVersion) -> LinearMap:
    """Return the map from a version's vectors to those of the one before."""
    return fit_linear_map(*_products(data, version, after, before))


def _products(data: TimedSet, version: int, after: ChainVersion, before: ChainVersion) -> tuple[Floats, Floats, float]:
    dim = data.options.dim
    gram, cross, squares = np.zeros((dim, dim)), np.zeros((dim, dim)), 0.0
    for name, shared in data.known(version - 1).items():
        a = after.entities[name].vectors[shared].astype(np.float64)
        b = before.entities[name].vectors[shared].astype(np.float64)
        gram, cross, squares = gram + a.T @ a, cross + a.T @ b, squares + float(np.sum(b * b))
    return gram, cross, squares


def _first_vectors(ids: np.ndarray, name: str, dim: int, seed: int) -> Floats:
    return initial_vectors(ids * 7919 + _KEYS[name], dim, INIT_SCALE, seed)


def first_means(data: TimedSet, version: int, start: ChainVersion, known: Known) -> dict[str, dict[int, Floats]]:
    """Return by type and id the means of the known neighbours of a version's other entities."""
    edges, weights = data.training(version)
    means: dict[str, dict[int, Floats]] = {}
    for name in data.types:
        parts: list[tuple[np.ndarray, np.ndarray, Floats]] = []
        for number, relation in enumerate(data.relations):
            of_relation = np.flatnonzero(edges[:, 0] == number)
            for own, other, own_type, other_type in (
                (1, 2, relation.source, relation.target),
                (2, 1, relation.target, relation.source),
            ):
                if own_type != name:
                    continue
                rows = of_relation[~known[name][edges[of_relation, own]] & known[other_type][edges[of_relation, other]]]
                seen = SeenThrough(relation.operator, start.relations[number].forward.values, transposed=own == 1)
                vectors = start.entities[other_type].vectors[edges[rows, other]]
                parts.append((edges[rows, own], weights[rows], seen(vectors)))
        entity, weight, seen_vectors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        means[name] = {}
        if len(entity):
            means[name] = dict(zip(*map(list, mean_of_neighbours(entity, weight, seen_vectors)), strict=True))
    return means


def _add_new_entities(data: TimedSet, version: int, start: ChainVersion, known: Known, seed: int) -> None:
    """Give the entities that the version before did not have the means of their neighbours, in place."""
    means = first_means(data, version, start, known)
    for name, has in data.known(version).items():
        new = np.flatnonzero(has & ~known[name])
        start.entities[name].vectors[new] = _first_vectors(new, name, data.options.dim, seed)
        start.entities[name].accumulators[new] = 0
        for entity, vector in means[name].items():
            start.entities[name].vectors[entity] = vector


def _train(
    data: TimedSet,
    version: int,
    start: ChainVersion,
    epochs: int,
    seed: int,
    *,
    anchor: float = 0.0,
    known: Known | None = None,
) -> ChainVersion:
    """Train a version in place, on the entities that it knows."""
    edges, weights = data.training(version)
    rows = {name: np.flatnonzero(has) for name, has in data.known(version).items()}
    place = {name: np.cumsum(has) - 1 for name, has in data.known(version).items()}
    loaded = {
        name: EntityRows(start.entities[name].vectors[at], start.entities[name].accumulators[at])
        for name, at in rows.items()
    }
    first = {name: entities.vectors.copy() for name, entities in loaded.items()}
    kernel_edges = _kernel_edges(data, edges, weights, place)
    settings = kernel_settings(data)
    for epoch in range(epochs):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch))))
        train_edges(Model(loaded, dict(start.relations)), kernel_edges, settings, rng)
        if anchor and known is not None:
            for name, entities in loaded.items():
                pull = anchor * known[name][rows[name], None].astype(np.float32)
                entities.vectors -= pull * (entities.vectors - first[name])
    for name, at in rows.items():
        start.entities[name].vectors[at] = loaded[name].vectors
        start.entities[name].accumulators[at] = loaded[name].accumulators
    return ChainVersion(start.entities, start.relations, epochs * len(edges))


def _kernel_edges(data: TimedSet, edges: Edges, weights: Floats, place: Mapping[str, np.ndarray]) -> KernelEdges:
    source, target = np.empty(len(edges), np.int32), np.empty(len(edges), np.int32)
    for number, relation in enumerate(data.relations):
        of_relation = edges[:, 0] == number
        source[of_relation] = place[relation.source][edges[of_relation, 1]]
        target[of_relation] = place[relation.target][edges[of_relation, 2]]
    return KernelEdges(source, target, edges[:, 0].astype(np.int16), weights)


def kernel_settings(data: TimedSet) -> TrainSettings:
    """Return the settings of the kernels."""
    options = data.options
    loss = LossSettings(Softmax(options.temperature), logq=True, comparator=options.comparator)
    return TrainSettings(
        loss,
        options.batch_size,
        options.in_batch_negatives,
        options.uniform_negatives,
        options.learning_rate,
        options.relation_learning_rate,
    )
