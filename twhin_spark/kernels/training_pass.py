"""Training pass: every edge is trained once, with the entities of all edges in memory."""

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

SLAB_BYTES = 1 << 20  # scores of a slab, which stay in a core's second-level cache
MEASURED_EVERY = 8  # batches for one whose loss is measured; the first batch of each relation is measured, too


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training pass.

    Attributes
    ----------
    loss
        The loss and the weights of negatives.
    batch_size
        The most edges of a step.
    in_batch_negatives
        The most edges of a chunk, which share their negatives.
    uniform_negatives
        Number of entities drawn for each end of a chunk's edges.
    entity_learning_rate, relation_learning_rate
        Learning rates of Adagrad.
    cross_negatives
        If true, and a relation joins a type with itself, a chunk's sources are negative targets, too, and its targets
        negative sources, each with the weight of a uniform negative. Without them, an entity is rarely a negative of
        its own edge, and a translation near zero ranks it before all others.
    max_norm
        The greatest norm of an entity's vector after a step; None sets no bound.
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
    """Result of a training pass.

    Attributes
    ----------
    edges
        Number of edges trained, by relation number.
    loss
        Summed loss of these edges before their updates, over both corruptions, by relation number. The loss is measured
        in some of the batches, and the sum is extrapolated to all edges.
    non_finite
        The relation number whose gradient was infinite or NaN and ended the pass, or None.
    """

    edges: dict[int, int]
    loss: dict[int, float]
    non_finite: int | None


def train_edges(model: Model, edges: Edges, settings: TrainSettings, rng: np.random.Generator) -> PassResult:
    """Train every edge once, in random order, changing the model in place.

    A gradient that is not finite ends the pass. It is returned and not raised, so that a worker can report it to its
    driver. The batch in question leaves the model unchanged.

    Parameters
    ----------
    model
        Entities and relations; changed in place.
    edges
        The edges.
    settings
        Loss, batch sizes and learning rates.
    rng
        Generator of batches and negatives. Equal generators give equal bits.
    """
    _keep_freed_memory()
    relation_batches, batch_of = batch_relations(model.relations)
    passes = [_RelationBatchPass(model, edges, relation_batch, settings, rng) for relation_batch in relation_batches]
    chunk_size = min(settings.in_batch_negatives, settings.batch_size)
    batches = deal_batches(edges.relation, batch_of, chunk_size, settings.batch_size // chunk_size, rng)
    tally = _Tally()
    non_finite = None
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in the gradient
        for number, batch in enumerate(batches):
            measure = number % MEASURED_EVERY == 0 or not tally.has_measured(batch)
            losses, non_finite = passes[batch_of[batch.relation[0]]].train(batch, measure)
            if non_finite is not None:
                break
            tally.add(batch, losses)
    for relation_batch in relation_batches:
        relation_batch.write_back(model.relations)
    return PassResult(tally.edges, tally.losses(), non_finite)


class _RelationBatchPass:
    """The part of a training pass that trains the relations of one RelationBatch."""

    def __init__(
        self,
        model: Model,
        edges: Edges,
        relation_batch: RelationBatch,
        settings: TrainSettings,
        rng: np.random.Generator,
    ) -> None:
        self._edges, self._relation_batch, self._settings, self._rng = edges, relation_batch, settings, rng
        self._source = model.entities[relation_batch.source_type]
        self._target = model.entities[relation_batch.target_type]
        self._crosses = settings.cross_negatives and self._source is self._target
        self._shares: tuple[EndpointShares, EndpointShares] | None = None
        if settings.loss.logq:
            members = np.isin(edges.relation, relation_batch.relations)
            relation, weight = edges.relation[members], edges.weight[members]
            self._shares = (
                EndpointShares.from_edges(relation, edges.source[members], weight, len(self._source.vectors)),
                EndpointShares.from_edges(relation, edges.target[members], weight, len(self._target.vectors)),
            )

    def train(self, batch: Batch, measure: bool) -> tuple[Floats | None, int | None]:
        """Train a batch, unless a gradient is not finite.

        Returns
        -------
        losses, non_finite
            The losses of the chunks, (C,), or None if they were not measured; the relation with a gradient that is not
            finite, or None.
        """
        settings, edges = self._settings, batch.edges.shape[1]
        uniform = settings.uniform_negatives + (edges if self._crosses else 0)
        chunks_of_slab = max(1, SLAB_BYTES // (4 * edges * (edges + uniform)))
        slabs = [self._slab(part, measure) for part in batch.slabs(chunks_of_slab)]
        # An entity may stand at both ends: its gradients are one sum and one step.
        same_type = self._source is self._target
        sources, targets = [slab.source for slab in slabs], [slab.target for slab in slabs]
        ends = [(self._source, sources + targets)] if same_type else [(self._source, sources), (self._target, targets)]
        steps = [(entities, _row_step(entities, gradients)) for entities, gradients in ends]
        if not all(step.is_finite for _, step in steps):
            return None, _not_finite(batch, slabs)
        for entities, step in steps:
            step.apply(entities.vectors, entities.accumulators, settings.entity_learning_rate, settings.max_norm)
        self._relation_batch.update(
            batch.relation,
            np.concatenate([slab.forward for slab in slabs]),
            None if self._relation_batch.backward is None else np.concatenate([slab.backward for slab in slabs]),
            settings.relation_learning_rate,
        )
        return (np.concatenate([slab.loss for slab in slabs]) if measure else None), None

    def _slab(self, part: Batch, measure: bool) -> "_Slab":
        """Return the gradients of some of a batch's chunks."""
        edges, relation_batch = self._edges, self._relation_batch
        filled = np.arange(part.edges.shape[1]) < part.sizes[:, None]  # (C, B)
        weights = edges.weight[part.edges] * relation_batch.weights_of(part.relation)[:, None] * filled
        rows = edges.source[part.edges], edges.target[part.edges]
        source = self._ends(*rows, filled, self._source, part, 0)
        target = self._ends(*rows[::-1], filled, self._target, part, 1)
        forward, backward = relation_batch.directions(part.relation)
        gradients = chunk_gradients(source, target, weights, forward, backward, self._settings.loss, measure=measure)
        return _Slab(
            (source.ids, gradients.source),
            (target.ids, gradients.target),
            gradients.forward,
            gradients.backward,
            gradients.loss,
        )

    def _ends(
        self, rows: Integers, others: Integers, filled: NDArray[np.bool_], entities: EntityRows, part: Batch, side: int
    ) -> Ends:
        """Return one end of the chunks' edges, with uniform negatives drawn with replacement from all loaded entities.

        The edges have rows (C, B) at this end and `others` (C, B) at the other; `filled` (C, B) is false for the edges
        that a chunk is filled up with. `side` is 0 for sources and 1 for targets.
        """
        count, settings = len(entities.vectors), self._settings
        drawn = settings.uniform_negatives + (rows.shape[1] if self._crosses else 0)
        uniform = self._rng.integers(count, size=(len(rows), drawn), dtype=rows.dtype)
        if self._crosses:  # edges that only fill up a chunk are no negatives: a uniform one stays
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
    """Edges that were trained, and the edges and loss of the measured batches, by relation number."""

    edges: dict[int, int] = field(default_factory=dict)
    measured: dict[int, int] = field(default_factory=dict)
    loss: dict[int, float] = field(default_factory=dict)

    def has_measured(self, batch: Batch) -> bool:
        """Return true if the loss of each of the batch's relations has been measured."""
        return all(number in self.measured for number in batch.relation.tolist())

    def add(self, batch: Batch, losses: Floats | None) -> None:
        """Count a batch's edges, and the losses of its chunks (C,) if they were measured."""
        for i, (number, size) in enumerate(zip(batch.relation.tolist(), batch.sizes.tolist(), strict=True)):
            self.edges[number] = self.edges.get(number, 0) + size
            if losses is not None:
                self.measured[number] = self.measured.get(number, 0) + size
                self.loss[number] = self.loss.get(number, 0.0) + float(losses[i])

    def losses(self) -> dict[int, float]:
        """Return the loss of all edges by relation, extrapolated from the measured ones."""
        return {number: loss / self.measured[number] * self.edges[number] for number, loss in self.loss.items()}


@dataclass(frozen=True)
class _Slab:
    """Gradients of some of a batch's chunks.

    Attributes
    ----------
    source, target
        Ids (C, n) and gradients (C, n, dim) of each end.
    forward, backward, loss
        As in ChunkGradients.
    """

    source: tuple[Integers, Floats]
    target: tuple[Integers, Floats]
    forward: Floats
    backward: Floats | None
    loss: Floats | None


def _row_step(entities: EntityRows, gradients: list[tuple[Integers, Floats]]) -> RowStep:
    """Sum the gradients (C, n, dim) of ids (C, n) into a step."""
    rows = np.concatenate([ids.ravel() for ids, _ in gradients])
    values = np.concatenate([gradient.reshape(-1, gradient.shape[-1]) for _, gradient in gradients])
    return RowStep.from_gradients(entities.accumulators, rows, values)


def _not_finite(batch: Batch, slabs: list[_Slab]) -> int:
    """Return the relation of the first chunk with a gradient that is not finite."""
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
