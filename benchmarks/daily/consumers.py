"""The task itself, and two consumers: a ranker and a nearest-neighbour list, built on version 1, used on version 5."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from benchmarks.daily.chain import ChainVersion
from benchmarks.daily.data import VERSIONS, Edges, TimedSet
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.operators import OPERATORS

K = 50  # recall@K
_PAIRS = 20_000  # of the ranker's training
_NEGATIVES = 4  # of each pair in its training
_CANDIDATES = 100  # that it ranks the test's target among
_BATCH = 512


@dataclass(frozen=True)
class ConsumerValues:
    """What a consumer reaches on the last day: built on version 1, and built anew on version 5."""

    old: float
    rebuilt: float

    @property
    def loss(self) -> float:
        return 1 - self.old / self.rebuilt


def next_day_recall(data: TimedSet, version: int, model: ChainVersion, of: int | None = None) -> float:
    """Return a model's recall@K on the new edges of the day after a version.

    Targets are ranked among all that the version knows, without those of the source's training edges. `of` is the
    version that the model is, if it is an earlier one: what it does not know has no vector and is not found.
    """
    queries = data.next_day(version)
    relation = data.relations[0]
    known = data.known(version)
    usable = known if of is None else data.known(of)
    found = hits(
        data,
        version,
        queries,
        known[relation.target] & usable[relation.target],
        source_vectors(data, model, queries[:, 1]),
        model.entities[relation.target].vectors,
    )
    answered = usable[relation.source][queries[:, 1]] & usable[relation.target][queries[:, 2]]
    return float(np.mean(found & answered))


def neighbour_list(data: TimedSet, first: ChainVersion, last: ChainVersion, back: Floats | None) -> ConsumerValues:
    """Return the recall@K of the last day's edges by a list of version 1's targets, and by one of version 5's.

    Both lists have the targets that version 1 knows. Sources are those of version 5, by way of the backward map if
    there is one.
    """
    queries, known = _shared_queries(data)
    relation, version = data.relations[0], VERSIONS - 1
    sources = source_vectors(data, last, queries[:, 1])
    mapped = sources if back is None else sources @ back
    old = hits(data, version, queries, known, mapped, first.entities[relation.target].vectors)
    rebuilt = hits(data, version, queries, known, sources, last.entities[relation.target].vectors)
    return ConsumerValues(float(old.mean()), float(rebuilt.mean()))


def ranker(data: TimedSet, first: ChainVersion, last: ChainVersion, back: Floats | None) -> ConsumerValues:
    """Return the MRR, among 100 others, of the last day's targets by a ranker trained on version 1, and on 5.

    The ranker is a logistic regression on the products of the two vectors' components. It is trained on edges of
    version 1 and random pairs.
    """
    rng = np.random.default_rng(0)
    queries, known = _shared_queries(data)
    edges, _ = data.training(0)
    pairs = edges[edges[:, 0] == 0, 1:]
    pairs = pairs[rng.permutation(len(pairs))[:_PAIRS]]
    candidates = np.flatnonzero(known)
    sources = np.concatenate([pairs[:, 0], np.repeat(pairs[:, 0], _NEGATIVES)])
    targets = np.concatenate([pairs[:, 1], rng.choice(candidates, len(pairs) * _NEGATIVES)])
    labels = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs) * _NEGATIVES)])
    others = rng.choice(candidates, (len(queries), _CANDIDATES))

    def weights(model: ChainVersion) -> Floats:
        return _logistic_regression(_products(data, model, sources, targets, None), labels)

    def mrr(fitted: Floats, matrix: Floats | None) -> float:
        own = _products(data, last, queries[:, 1], queries[:, 2], matrix) @ fitted
        ranks = np.ones(len(queries))
        for column in range(_CANDIDATES):
            scores = _products(data, last, queries[:, 1], others[:, column], matrix) @ fitted
            ranks += (scores > own) + 0.5 * (scores == own)
        return float(np.mean(1 / ranks))

    return ConsumerValues(mrr(weights(first), back), mrr(weights(last), None))


def _shared_queries(data: TimedSet) -> tuple[Edges, np.ndarray]:
    """Return the last day's edges between entities that version 1 knows, and the targets that it knows."""
    relation, known = data.relations[0], data.known(0)
    queries = data.next_day(VERSIONS - 1)
    both = known[relation.source][queries[:, 1]] & known[relation.target][queries[:, 2]]
    return queries[both], known[relation.target]


def source_vectors(data: TimedSet, model: ChainVersion, ids: np.ndarray) -> Floats:
    """Return the sources' vectors after the measured relation's operator, of length 1 if the comparator is cosine."""
    relation = model.relations[0]
    vectors = model.entities[relation.source_type].vectors[ids]
    return _comparable(data, OPERATORS[relation.operator].apply(relation.forward.values, vectors))


def _comparable(data: TimedSet, vectors: Floats) -> Floats:
    if data.options.comparator == "dot":
        return vectors
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return unit


def hits(
    data: TimedSet, version: int, queries: Edges, usable: np.ndarray, sources: Floats, targets: Floats
) -> np.ndarray:
    """Return whether each query's target is among the first K of the usable targets, (n,)."""
    candidates = np.flatnonzero(usable)
    place = np.full(len(usable), -1)
    place[candidates] = np.arange(len(candidates))
    vectors = _comparable(data, targets[candidates]).T
    positives: dict[int, list[int]] = {}
    edges, _ = data.training(version)
    for source, target in edges[edges[:, 0] == 0, 1:].tolist():
        positives.setdefault(source, []).append(target)
    same_type = data.relations[0].source == data.relations[0].target
    hits = np.zeros(len(queries), bool)
    for begin in range(0, len(queries), _BATCH):
        scores = sources[begin : begin + _BATCH] @ vectors
        for row in range(len(scores)):
            _, source, target = queries[begin + row].tolist()
            if place[target] < 0:
                continue
            left_out = [place[other] for other in positives.get(source, []) if place[other] >= 0 and other != target]
            if same_type and place[source] >= 0:
                left_out.append(place[source])
            bound = scores[row, place[target]]
            above = np.count_nonzero(scores[row] > bound) - np.count_nonzero(scores[row, left_out] > bound)
            hits[begin + row] = above < K
    return hits


def _products(
    data: TimedSet, model: ChainVersion, sources: np.ndarray, targets: np.ndarray, matrix: Floats | None
) -> Floats:
    """Return the ranker's features of pairs, (n, dim + 1): products of components, and 1."""
    relation = data.relations[0]
    a = _comparable(data, model.entities[relation.source].vectors[sources])
    b = _comparable(data, model.entities[relation.target].vectors[targets])
    if matrix is not None:
        a, b = a @ matrix, b @ matrix
    features: Floats = np.concatenate([a * b, np.ones((len(a), 1))], axis=1)
    return features


def _logistic_regression(features: Floats, labels: Floats, penalty: float = 1e-3) -> Floats:
    """Return the weights, (dim + 1,), of labels 1 and -1; the last one is not penalised."""
    shrunk = np.append(np.ones(features.shape[1] - 1), 0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margins = labels * (features @ weights)
        slope = -(features.T @ (labels / (1 + np.exp(margins)))) / len(labels)
        value = float(np.logaddexp(0, -margins).mean() + penalty * np.sum(shrunk * weights**2))
        return value, slope + 2 * penalty * shrunk * weights

    fitted: Floats = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B").x
    return fitted
