"""What an epoch's model is worth on validation edges that it was not trained on. Runs on workers; updates nothing.

Two figures, both of a fixed sample of validation edges whose ends are in training:

- The held-out loss: the training's own loss. Its negatives are the same after every epoch: the other edges of the
  batch, and uniform ones from up to `NEGATIVES` entities of each type, drawn once, and the sample's own ends. So it
  compares epochs and runs on one graph; it is not on the scale of the training loss, whose negatives are other ones.
- monitor_mrr: the mean reciprocal rank of the edge's target among all entities of its type that the state holds,
  without the source's other training targets (and without the source itself where the graph drops self-loops). It is no
  test metric: the sample is small, and other validation and test edges count as wrong.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.exact_ranks import Excluded, Positives, count_above, positive_scores, realistic_rank
from twhin_spark.kernels.model import Edges, EntityRows, Model
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.topk import comparison_vectors
from twhin_spark.kernels.training_pass import TrainSettings, train_edges
from twhin_spark.training.state.relation_state import RelationSettings, RelationState, to_kernel
from twhin_spark.training.state.round_report import ValidationResult
from twhin_spark.training.state.validation_sample import ValidationSample

NEGATIVES = 8192  # entities of a type that the uniform negatives of the held-out loss are drawn from
ROW_BITS = 32  # a place is partition << ROW_BITS | row: places order as the partitions and their rows do
_ROW_MASK = (1 << ROW_BITS) - 1


class HasVectors(Protocol):
    @property
    def vectors(self) -> Floats: ...


State = Mapping[str, HasVectors]  # of one partition: by type, vectors (rows, dim)


@dataclass(frozen=True)
class ModelExcerpt:
    """The part of a model that a sample needs: by type, places (m,), ascending, and their vectors (m, dim)."""

    places: dict[str, Integers]
    vectors: dict[str, Floats]


@dataclass(frozen=True)
class ValidationQueries:
    """The sample's edges as questions: vectors (n, dim), to be multiplied with candidates; scores (n,) of targets."""

    vectors: Floats
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Validator:
    """A sample of validation edges, with the relations by index and the types, which say what it means.

    comparator: the training's, by which ranks are counted.
    """

    sample: ValidationSample
    relations: Sequence[RelationSettings]
    types: Sequence[str]
    partitions: int
    seed: int
    comparator: str = "dot"

    def excerpt(self, states: Iterable[tuple[int, State]]) -> ModelExcerpt:
        """What `loss` and `ask` need of the model, from its partitions in ascending order."""
        ends = {kind: np.unique(np.concatenate(self._places(kind))) for kind in self.types}
        places: dict[str, list[Integers]] = {kind: [] for kind in self.types}
        vectors: dict[str, list[Floats]] = {kind: [] for kind in self.types}
        for partition, state in states:
            for kind in self.types:
                rows = np.union1d(
                    _rows_in(partition, ends[kind]), self._drawn(partition, kind, len(state[kind].vectors))
                )
                places[kind].append((partition << ROW_BITS) + rows)
                vectors[kind].append(state[kind].vectors[rows])
        return ModelExcerpt(
            {kind: np.concatenate(parts) for kind, parts in places.items()},
            {kind: np.concatenate(parts) for kind, parts in vectors.items()},
        )

    def loss(
        self, excerpt: ModelExcerpt, parameters: Mapping[str, RelationState], settings: TrainSettings
    ) -> dict[str, float]:
        """The held-out loss by relation, summed over its edges; infinite where one is not finite."""
        entities = {
            kind: EntityRows(vectors.copy(), np.zeros(len(vectors), np.float32))
            for kind, vectors in excerpt.vectors.items()
        }
        numbers = np.unique(self.sample.relation).tolist()
        relations = {i: to_kernel(self.relations[i], parameters[self.relations[i].name]) for i in numbers}
        still = replace(settings, entity_learning_rate=0.0, relation_learning_rate=0.0)  # a pass that changes nothing
        done = train_edges(
            Model(entities, relations),
            self._edges(excerpt),
            still,
            np.random.default_rng((self.seed, len(self.sample))),
        )
        if done.non_finite is not None:
            return {self.relations[i].name: math.inf for i in numbers}
        return {self.relations[i].name: loss for i, loss in sorted(done.loss.items())}

    def ask(self, excerpt: ModelExcerpt, parameters: Mapping[str, RelationState]) -> ValidationQueries:
        """The questions whose answers `count` and `reciprocal_ranks` rank."""
        edges = self._edges(excerpt)
        dim = next(iter(excerpt.vectors.values())).shape[1]
        vectors, scores = np.empty((len(self.sample), dim), np.float32), np.empty(len(self.sample))
        for i in np.unique(self.sample.relation):
            mine, relation = np.flatnonzero(self.sample.relation == i), self.relations[i]
            forward = np.array(parameters[relation.name].parameters["target"], np.float32)
            operator = OPERATORS[relation.operator]
            seen = operator.apply(forward, excerpt.vectors[relation.source][edges.source[mine]])
            vectors[mine] = comparison_vectors(seen, self.comparator)
            targets = comparison_vectors(excerpt.vectors[relation.target][edges.target[mine]], self.comparator)
            scores[mine] = positive_scores(vectors[mine], targets, np.arange(len(mine)))
        return ValidationQueries(vectors, scores)

    def count(self, asked: ValidationQueries, partition: int, state: State) -> NDArray[np.int64]:
        """(2, n): how many entities of a partition score above each edge's target, and how many the same."""
        sample = self.sample
        counts = self.no_counts()
        for kind in self.types:
            mine = np.flatnonzero(self._has_target(kind))
            if not len(mine):
                continue
            place_of = np.full(len(sample), -1)
            place_of[mine] = np.arange(len(mine))
            own = np.where(sample.target[mine] >> ROW_BITS == partition, sample.target[mine] & _ROW_MASK, -1)
            known = (place_of[sample.known_edge] >= 0) & (sample.known_target >> ROW_BITS == partition)
            excluded = Excluded(place_of[sample.known_edge[known]], sample.known_target[known] & _ROW_MASK)
            positives = Positives(np.arange(len(mine)), own, asked.scores[mine])
            candidates = comparison_vectors(state[kind].vectors, self.comparator)
            counts[:, mine] = count_above(asked.vectors[mine], candidates, positives, excluded)
        return counts

    def no_counts(self) -> NDArray[np.int64]:
        return np.zeros((2, len(self.sample)), np.int64)

    def measured(self, loss: dict[str, float], counts: NDArray[np.int64] | None, seconds: float) -> ValidationResult:
        """The sums by relation; counts: those of all partitions, added up, or None where none were asked for."""
        number = self.sample.relation
        names = {int(i): self.relations[i].name for i in np.unique(number)}
        edges = {name: int(np.count_nonzero(number == i)) for i, name in names.items()}
        if counts is None:
            return ValidationResult(edges, loss, {}, seconds)
        reciprocal = 1 / realistic_rank(counts[0], counts[1])
        return ValidationResult(
            edges, loss, {name: float(reciprocal[number == i].sum()) for i, name in names.items()}, seconds
        )

    def _has_target(self, kind: str) -> NDArray[np.bool_]:
        return np.array([relation.target == kind for relation in self.relations])[self.sample.relation]

    def _places(self, kind: str) -> list[Integers]:
        """The places of the sample's ends of a type."""
        has_source = np.array([relation.source == kind for relation in self.relations])[self.sample.relation]
        return [self.sample.source[has_source], self.sample.target[self._has_target(kind)]]

    def _drawn(self, partition: int, kind: str, rows: int) -> Integers:
        """The rows of a partition among which are uniform negatives: its part of NEGATIVES, the same at every epoch."""
        share = min(rows, -(-NEGATIVES // self.partitions))
        rng = np.random.default_rng((self.seed, partition, list(self.types).index(kind)))
        return rng.choice(rows, share, replace=False)

    def _edges(self, excerpt: ModelExcerpt) -> Edges:
        """The sample in rows of the excerpt."""
        source, target = np.empty((2, len(self.sample)), np.int32)
        for i in np.unique(self.sample.relation):
            mine = self.sample.relation == i
            source[mine] = np.searchsorted(excerpt.places[self.relations[i].source], self.sample.source[mine])
            target[mine] = np.searchsorted(excerpt.places[self.relations[i].target], self.sample.target[mine])
        return Edges(source, target, self.sample.relation.astype(np.int16), self.sample.weight)


def measure(
    held_out: Validator,
    states: Sequence[tuple[int, State]],
    parameters: Mapping[str, RelationState],
    settings: TrainSettings,
    ranks: bool,
) -> ValidationResult:
    """Measures a model whose partitions are all in memory, in ascending order."""
    started = time.perf_counter()
    excerpt = held_out.excerpt(states)
    loss, counts = held_out.loss(excerpt, parameters, settings), None
    if ranks:
        asked = held_out.ask(excerpt, parameters)
        counts = sum((held_out.count(asked, partition, state) for partition, state in states), held_out.no_counts())
    return held_out.measured(loss, counts, time.perf_counter() - started)


def _rows_in(partition: int, places: Integers) -> Integers:
    """The rows of a partition that are among some places."""
    first, last = np.searchsorted(places, [partition << ROW_BITS, (partition + 1) << ROW_BITS])
    return places[first:last] & _ROW_MASK
