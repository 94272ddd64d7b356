"""One pass of training over edges whose entities are all in memory: what a training task does, without Spark."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.adagrad import RowStep
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.batches import Batch, deal_batches
from twhin_spark.kernels.gradients import Ends, LossSettings, chunk_gradients
from twhin_spark.kernels.logq import EndpointShares, expected_negatives
from twhin_spark.kernels.model import Edges, EntityRows, Model
from twhin_spark.kernels.relation_batches import RelationBatch, batch_relations

SLAB_BYTES = 1 << 20  # of scores that are worked on at once: they stay in a core's second-level cache
MEASURED_EVERY = 8  # the loss is measured in one batch of so many, and in the first one of each relation


@dataclass(frozen=True)
class TrainSettings:
    """What a pass is trained with.

    batch_size: edges of one update, at most.
    in_batch_negatives: edges of a chunk, at most; a batch has chunks, and in-batch negatives are a chunk's own.
    uniform_negatives: entities drawn for a chunk, on each side, as further negatives.
    cross_negatives: where a relation joins a type with itself, a chunk's sources are negative targets, too, and its
        targets negative sources, each of the weight of a uniform one. An entity that may be its own answer has to be
        among its negatives: a translation leaves it where it was, before all others.
    max_norm: length of an entity's vector after a step, at most; None: no bound.
    """

    loss: LossSettings
    batch_size: int
    in_batch_negatives: int
    uniform_negatives: int
    entity_learning_rate: float
    relation_learning_rate: float
    cross_negatives: bool = False
    max_norm: float | None = None


@dataclass(frozen=True)
class PassResult:
    """What a pass did, by relation number: edges trained, and their summed loss (both sides, before the updates).

    Where the loss was not measured in every batch, the sum is that of the others, for as many edges as were trained.
    non_finite: the relation at which a gradient was infinite or NaN, and the pass therefore stopped; None otherwise.
    """

    edges: dict[int, int]
    loss: dict[int, float]
    non_finite: int | None


def train_edges(model: Model, edges: Edges, settings: TrainSettings, rng: np.random.Generator) -> PassResult:
    """Train every edge once, in random order, changing the model in place.

    A gradient that is not finite is reported, not raised, so that a worker can hand the fact to its driver. The batch
    that met it leaves the model unchanged.
    """
    _keep_freed_memory()
    families, family_of = batch_relations(model.relations)
    passes = [_RelationBatchPass(model, edges, family, settings, rng) for family in families]
    chunk_size = min(settings.in_batch_negatives, settings.batch_size)
    batches = deal_batches(edges.relation, family_of, chunk_size, settings.batch_size // chunk_size, rng)
    tally = _Tally()
    non_finite = None
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in the gradient
        for number, batch in enumerate(batches):
            measure = number % MEASURED_EVERY == 0 or not tally.has_measured(batch)
            losses, non_finite = passes[family_of[batch.relation[0]]].train(batch, measure)
            if non_finite is not None:
                break
            tally.add(batch, losses)
    for family in families:
        family.write_back(model.relations)
    return PassResult(tally.edges, tally.losses(), non_finite)


class _RelationBatchPass:
    """The part of a pass that trains one family of relations."""

    def __init__(
        self, model: Model, edges: Edges, family: RelationBatch, settings: TrainSettings, rng: np.random.Generator
    ) -> None:
        self._edges, self._family, self._settings, self._rng = edges, family, settings, rng
        self._source, self._target = model.entities[family.source_type], model.entities[family.target_type]
        self._crosses = settings.cross_negatives and self._source is self._target
        self._shares: tuple[EndpointShares, EndpointShares] | None = None
        if settings.loss.logq:
            own = np.isin(edges.relation, family.relations)
            relation, weight = edges.relation[own], edges.weight[own]
            self._shares = (
                EndpointShares.from_edges(relation, edges.source[own], weight, len(self._source.vectors)),
                EndpointShares.from_edges(relation, edges.target[own], weight, len(self._target.vectors)),
            )

    def train(self, batch: Batch, measure: bool) -> tuple[Floats | None, int | None]:
        """Takes one step; returns the chunks' losses (C,), if measured, or the relation with a gradient not finite."""
        settings, edges = self._settings, batch.edges.shape[1]
        drawn = settings.uniform_negatives + (edges if self._crosses else 0)
        at_once = max(1, SLAB_BYTES // (4 * edges * (edges + drawn)))
        slabs = [self._slab(part, measure) for part in batch.slabs(at_once)]
        # An entity may stand at both ends: its gradients are one sum and one step.
        both = self._source is self._target
        sources, targets = [slab.source for slab in slabs], [slab.target for slab in slabs]
        ends = [(self._source, sources + targets)] if both else [(self._source, sources), (self._target, targets)]
        steps = [(entities, _row_step(entities, gradients)) for entities, gradients in ends]
        if not all(step.is_finite for _, step in steps):
            return None, _not_finite(batch, slabs)
        for entities, step in steps:
            step.apply(entities.vectors, entities.accumulators, settings.entity_learning_rate, settings.max_norm)
        self._family.update(
            batch.relation,
            np.concatenate([slab.forward for slab in slabs]),
            None if self._family.backward is None else np.concatenate([slab.backward for slab in slabs]),
            settings.relation_learning_rate,
        )
        return (np.concatenate([slab.loss for slab in slabs]) if measure else None), None

    def _slab(self, part: Batch, measure: bool) -> "_Slab":
        """The gradients of some of a batch's chunks."""
        edges, family = self._edges, self._family
        filled = np.arange(part.edges.shape[1]) < part.sizes[:, None]  # (C, B)
        weights = edges.weight[part.edges] * family.weights_of(part.relation)[:, None] * filled
        rows = edges.source[part.edges], edges.target[part.edges]
        source = self._ends(*rows, filled, self._source, part, 0)
        target = self._ends(*rows[::-1], filled, self._target, part, 1)
        forward, backward = family.directions(part.relation)
        found = chunk_gradients(source, target, weights, forward, backward, self._settings.loss, measure=measure)
        return _Slab((source.ids, found.source), (target.ids, found.target), found.forward, found.backward, found.loss)

    def _ends(
        self, rows: Integers, others: Integers, filled: NDArray[np.bool_], entities: EntityRows, part: Batch, side: int
    ) -> Ends:
        """The chunks' rows (C, B), and as uniform negatives U rows for each, with replacement from all loaded ones.

        others: (C, B), the rows at the other end, which are negatives, too, where relations cross. filled: (C, B).
        """
        count, settings = len(entities.vectors), self._settings
        drawn = settings.uniform_negatives + (rows.shape[1] if self._crosses else 0)
        uniform = self._rng.integers(count, size=(len(rows), drawn), dtype=rows.dtype)
        if self._crosses:  # what a chunk is filled up with leaves its place to uniform ones
            np.copyto(uniform[:, settings.uniform_negatives :], others, where=filled)
        ids = np.concatenate([rows, uniform], axis=1)  # (C, B + U)
        vectors = entities.vectors.take(ids, axis=0)
        if self._shares is None:
            return Ends(vectors, ids)
        expected = expected_negatives(
            self._shares[side].lookup(part.relation, ids),
            self._shares[1 - side].lookup(part.relation, ids) if self._crosses else None,
            edges=part.sizes,
            in_batch_weight=settings.loss.in_batch_weight,
            uniform=drawn - part.sizes if self._crosses else drawn,
            uniform_weight=settings.loss.uniform_weight,
            entities=count,
            loaded=entities.share,
        )
        return Ends(vectors, ids, expected)


@dataclass
class _Tally:
    """Edges trained, and of the batches whose loss was measured the edges and the loss, by relation number."""

    edges: dict[int, int] = field(default_factory=dict)
    measured: dict[int, int] = field(default_factory=dict)
    loss: dict[int, float] = field(default_factory=dict)

    def has_measured(self, batch: Batch) -> bool:
        return all(number in self.measured for number in batch.relation.tolist())

    def add(self, batch: Batch, losses: Floats | None) -> None:
        for i, (number, size) in enumerate(zip(batch.relation.tolist(), batch.sizes.tolist(), strict=True)):
            self.edges[number] = self.edges.get(number, 0) + size
            if losses is not None:
                self.measured[number] = self.measured.get(number, 0) + size
                self.loss[number] = self.loss.get(number, 0.0) + float(losses[i])

    def losses(self) -> dict[int, float]:
        """By relation the loss of all edges, were the others like those measured."""
        return {number: loss / self.measured[number] * self.edges[number] for number, loss in self.loss.items()}


@dataclass(frozen=True)
class _Slab:
    """Of some of a batch's chunks: ids (C, n) and gradients (C, n, dim) at each end, and the rest of ChunkGradients."""

    source: tuple[Integers, Floats]
    target: tuple[Integers, Floats]
    forward: Floats
    backward: Floats | None
    loss: Floats | None


def _row_step(entities: EntityRows, gradients: list[tuple[Integers, Floats]]) -> RowStep:
    rows = np.concatenate([ids.ravel() for ids, _ in gradients])
    values = np.concatenate([one.reshape(-1, one.shape[-1]) for _, one in gradients])
    return RowStep.from_gradients(entities.accumulators, rows, values)


def _not_finite(batch: Batch, slabs: list[_Slab]) -> int:
    """The relation of the first chunk with a gradient that is not finite."""
    finite = [
        np.isfinite(slab.source[1]).all(axis=(1, 2)) & np.isfinite(slab.target[1]).all(axis=(1, 2)) for slab in slabs
    ]
    return int(batch.relation[np.concatenate(finite).argmin()])


def _keep_freed_memory() -> None:
    """Make glibc keep freed arrays for the next batch: it gains a fifth of the speed, and changes nothing elsewhere.

    By default arrays of a chunk's size go back to the kernel as soon as they are freed, and the next chunk's arrays are
    paged in anew. The size from which glibc does so rises to that of the largest block freed so far, up to 32 MiB.
    """
    np.empty(31 << 20, np.uint8)
