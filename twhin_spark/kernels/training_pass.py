"""Training pass: every edge is trained once, with the entities of all edges in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.batch_gradients import BatchGradients, Slab, row_step
from twhin_spark.kernels.batches import Batch, deal_batches
from twhin_spark.kernels.gradients import Ends, LossSettings, chunk_gradients
from twhin_spark.kernels.logq import EndpointShares, expected_negatives
from twhin_spark.kernels.model import Edges, Model
from twhin_spark.kernels.relation_batches import RelationBatch, batch_relations
from twhin_spark.kernels.threads import ThreadTeam

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


def train_edges(
    model: Model, edges: Edges, settings: TrainSettings, rng: np.random.Generator, threads: int = 1
) -> PassResult:
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
    threads
        Number of threads that share the chunks of a batch, and then the rows that it changes. The bits are the same for
        any number. More threads than a batch has chunks are of little use.
    """
    _keep_freed_memory()
    with ThreadTeam(threads) as team:
        return _train_batches(model, edges, settings, rng, team)


def _train_batches(
    model: Model, edges: Edges, settings: TrainSettings, rng: np.random.Generator, team: ThreadTeam
) -> PassResult:
    relation_batches, batch_of = batch_relations(model.relations)
    passes = [
        _RelationBatchPass(model, edges, relation_batch, settings, rng, team) for relation_batch in relation_batches
    ]
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
        team: ThreadTeam,
    ) -> None:
        self._edges, self._relation_batch, self._settings = edges, relation_batch, settings
        self._rng, self._team = rng, team
        self._source = model.entities[relation_batch.source_type]
        self._target = model.entities[relation_batch.target_type]
        self._crosses = settings.cross_negatives and self._source is self._target
        self._shares: tuple[EndpointShares, EndpointShares] | None = None
        if settings.loss.logq:
            members = np.isin(edges.relation, relation_batch.relations)
            relation, weight = edges.relation[members], edges.weight[members]
            ends = (edges.source, self._source), (edges.target, self._target)
            source, target = team.map(
                lambda end: EndpointShares.from_edges(relation, end[0][members], weight, len(end[1].vectors)), ends
            )
            self._shares = source, target

    def train(self, batch: Batch, measure: bool) -> tuple[Floats | None, int | None]:
        """Train a batch, unless a gradient is not finite.

        Returns
        -------
        losses, non_finite
            The losses of the chunks, (C,), or None if they were not measured; the relation with a gradient that is not
            finite, or None.
        """
        settings, (chunks, edges) = self._settings, batch.edges.shape
        drawn = settings.uniform_negatives + (edges if self._crosses else 0)
        dim, dtype = self._source.vectors.shape[1], self._source.vectors.dtype
        rows = BatchGradients(
            np.empty((2, chunks, edges + drawn), np.int32), np.empty((2, chunks, edges + drawn, dim), dtype)
        )
        drawn_at_once = max(1, SLAB_BYTES // (4 * edges * (edges + drawn)))  # chunks
        self._put_ids(batch, rows.ids, drawn_at_once)
        slabs = list(rows.slabs(batch, min(drawn_at_once, -(-chunks // self._team.threads))))
        results = self._team.map(lambda slab: self._train_slab(slab, measure), slabs)
        forward, backward, losses = (_concatenated(parts) for parts in zip(*results, strict=True))
        assert forward is not None
        # An entity may stand at both ends: its gradients are one sum and one step.
        same_type = self._source is self._target
        ends = [(self._source, rows)] if same_type else [(self._source, rows.end(0)), (self._target, rows.end(1))]
        shares = [(*end, (i, self._team.threads)) for end in ends for i in range(self._team.threads)]
        steps = self._team.map(lambda share: (share[0], row_step(*share)), shares)
        if not all(step.is_finite for _, step in steps):
            return None, int(batch.relation[rows.are_finite().argmin()])
        rate, max_norm = settings.entity_learning_rate, settings.max_norm
        self._team.map(lambda step: step[1].apply(step[0].vectors, step[0].accumulators, rate, max_norm), steps)
        self._relation_batch.update(batch.relation, forward, backward, settings.relation_learning_rate)
        return (losses if measure else None), None

    def _put_ids(self, batch: Batch, ids: Integers, chunks: int) -> None:
        """Put the rows of the batch's edges, and of their negatives, into `ids` (2, C, B + U).

        Negatives are drawn here, before threads share the chunks. Those of some chunks are drawn at once, which is part
        of what decides the bits, so it must not depend on the number of threads.
        """
        begin = 0
        for part in batch.slabs(chunks):
            edges = part.edges.shape[1]
            ends = self._edges.source[part.edges], self._edges.target[part.edges]
            for side, entities in enumerate((self._source, self._target)):
                of_part = ids[side, begin : begin + len(part.sizes)]  # (c, B + U)
                of_part[:, :edges] = ends[side]
                of_part[:, edges:] = self._rng.integers(
                    len(entities.vectors), size=of_part[:, edges:].shape, dtype=ids.dtype
                )
                if self._crosses:  # edges that only fill up a chunk are no negatives: a uniform one stays
                    crossing = of_part[:, edges + self._settings.uniform_negatives :]
                    np.copyto(crossing, ends[1 - side], where=part.filled)
            begin += len(part.sizes)

    def _train_slab(self, slab: Slab, measure: bool) -> tuple[Floats, Floats | None, Floats | None]:
        """Compute the gradients of a slab; return those of forward and backward parameters, and the losses if measured.

        The gradients of entities are put into their places.
        """
        part, relation_batch = slab.batch, self._relation_batch
        weights = self._edges.weight[part.edges] * relation_batch.weights_of(part.relation)[:, None] * part.filled
        forward, backward = relation_batch.directions(part.relation)
        source, target = self._ends(slab, 0), self._ends(slab, 1)
        gradients = chunk_gradients(source, target, weights, forward, backward, self._settings.loss, measure=measure)
        slab.gradients[0], slab.gradients[1] = gradients.source, gradients.target
        return gradients.forward, gradients.backward, gradients.loss

    def _ends(self, slab: Slab, side: int) -> Ends:
        """Return the sources (side 0) or targets (side 1) of a slab, with their uniform negatives."""
        part, settings, ids = slab.batch, self._settings, slab.ids[side]
        entities = (self._source, self._target)[side]
        vectors = entities.vectors.take(ids, axis=0)
        if self._shares is None:
            return Ends(vectors, ids)
        drawn = ids.shape[1] - part.edges.shape[1]
        expected = expected_negatives(
            self._shares[side].lookup(part.relation, ids),
            self._shares[1 - side].lookup(part.relation, ids) if self._crosses else None,
            edges=part.sizes,
            in_batch_weight=settings.loss.in_batch_weight,
            uniform=drawn - part.sizes if self._crosses else drawn,
            uniform_weight=settings.loss.uniform_weight,
            entities=len(entities.vectors),
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


def _concatenated(parts: Sequence[Floats | None]) -> Floats | None:
    """Concatenate the parts of all slabs; None if they have none."""
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present else None


def _keep_freed_memory() -> None:
    """Make glibc keep freed arrays for the next batch: it gains a fifth of the speed, and changes nothing elsewhere.

    By default arrays of a chunk's size go back to the kernel as soon as they are freed, and the next chunk's arrays are
    paged in anew. The size from which glibc does so rises to that of the largest block freed so far, up to 32 MiB.
    """
    np.empty(31 << 20, np.uint8)
