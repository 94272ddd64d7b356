"""One pass of training over edges whose entities are all in memory: what a training task does, without Spark."""

from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.adagrad import update_parameters, update_rows
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.batches import shuffled_chunks
from twhin_spark.kernels.expectation import Shares, expected_negatives
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.step import ChunkGradients, Direction, Ends, LossSettings, chunk_gradients


@dataclass
class EntityRows:
    """The loaded entities of one type: vectors float32 (n, dim), Adagrad accumulators float32 (n,)."""

    vectors: Floats
    accumulators: Floats


@dataclass
class Parameters:
    """A relation's parameters in one direction and their Adagrad accumulators, both float32 (parameter_count(dim),)."""

    values: Floats
    accumulators: Floats


@dataclass
class Relation:
    """A relation between two entity types. backward is None where it is one-sided; weight multiplies its edges'."""

    source_type: str
    target_type: str
    operator: str
    weight: float
    forward: Parameters
    backward: Parameters | None = None

    def direction(self, parameters: Parameters) -> Direction:
        """How the relation scores with these parameters of its own."""
        return Direction(OPERATORS[self.operator], parameters.values)


@dataclass
class Model:
    """Everything that training changes: entities by type, relations by number."""

    entities: dict[str, EntityRows]
    relations: dict[int, Relation]


@dataclass(frozen=True)
class Edges:
    """n edges: source and target int32 (n,) rows of their types' entities, relation int16 (n,), weight float32 (n,)."""

    source: Integers
    target: Integers
    relation: Integers
    weight: Floats


@dataclass(frozen=True)
class TrainSettings:
    """batch_size: edges a chunk, at most; one chunk is one update. uniform_negatives: a chunk and side."""

    loss: LossSettings
    batch_size: int
    uniform_negatives: int
    entity_learning_rate: float
    relation_learning_rate: float


@dataclass(frozen=True)
class PassResult:
    """What a pass did, by relation number: edges trained and their summed loss (both sides, before the updates).

    non_finite: the relation at which a loss was infinite or NaN, and the pass therefore stopped; None otherwise.
    """

    edges: dict[int, int]
    loss: dict[int, float]
    non_finite: int | None


def train_edges(model: Model, edges: Edges, settings: TrainSettings, rng: np.random.Generator) -> PassResult:
    """Train every edge once, in random order, changing the model in place.

    A loss that is not finite is reported, not raised, so that a worker can hand the fact to its driver. The chunk
    that met it leaves the model unchanged.
    """
    _keep_freed_memory()
    edge_counts: dict[int, int] = {}
    losses: dict[int, float] = {}
    shares = _shares(edges) if settings.loss.logq else {}
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in the loss
        for number, chunk in shuffled_chunks(edges.relation, settings.batch_size, rng):
            relation = model.relations[number]
            source = model.entities[relation.source_type]
            target = model.entities[relation.target_type]
            source_shares, target_shares = shares.get(number, (None, None))
            source_ends = _ends(edges.source[chunk], source, source_shares, settings, rng)
            target_ends = _ends(edges.target[chunk], target, target_shares, settings, rng)
            gradients = chunk_gradients(
                source_ends,
                target_ends,
                edges.weight[chunk] * np.float32(relation.weight),
                relation.direction(relation.forward),
                relation.direction(relation.backward) if relation.backward else None,
                settings.loss,
            )
            if not np.isfinite(gradients.loss):
                return PassResult(edge_counts, losses, non_finite=number)
            edge_counts[number] = edge_counts.get(number, 0) + len(chunk)
            losses[number] = losses.get(number, 0.0) + gradients.loss
            _update_entities(source, target, source_ends.ids, target_ends.ids, gradients, settings.entity_learning_rate)
            _update_relation(relation, gradients, settings.relation_learning_rate)
    return PassResult(edge_counts, losses, non_finite=None)


def _shares(edges: Edges) -> dict[int, tuple[Shares, Shares]]:
    """By relation number: what part of its edges have each entity as source, and as target."""
    shares = {}
    for number in np.unique(edges.relation):
        mine = edges.relation == number
        weights = edges.weight[mine]
        shares[int(number)] = Shares.of(edges.source[mine], weights), Shares.of(edges.target[mine], weights)
    return shares


def _ends(
    rows: Integers, entities: EntityRows, shares: Shares | None, settings: TrainSettings, rng: np.random.Generator
) -> Ends:
    """A chunk's rows (B,), and as uniform negatives U rows drawn with replacement from all loaded entities."""
    uniform = rng.integers(len(entities.vectors), size=settings.uniform_negatives, dtype=rows.dtype)
    ids = np.concatenate([rows, uniform])
    if shares is None:
        return Ends(entities.vectors[ids], ids)
    expected = expected_negatives(
        shares.find(ids),
        edges=len(rows),
        in_batch_weight=settings.loss.in_batch_weight,
        uniform=len(uniform),
        uniform_weight=settings.loss.uniform_weight,
        entities=len(entities.vectors),
    )
    return Ends(entities.vectors[ids], ids, expected)


def _update_entities(
    source: EntityRows,
    target: EntityRows,
    source_rows: Integers,
    target_rows: Integers,
    gradients: ChunkGradients,
    learning_rate: float,
) -> None:
    if source is target:  # an entity may stand at both ends: its gradients are one sum and one step
        rows = np.concatenate([source_rows, target_rows])
        both = np.concatenate([gradients.source, gradients.target])
        update_rows(source.vectors, source.accumulators, rows, both, learning_rate)
    else:
        update_rows(source.vectors, source.accumulators, source_rows, gradients.source, learning_rate)
        update_rows(target.vectors, target.accumulators, target_rows, gradients.target, learning_rate)


def _update_relation(relation: Relation, gradients: ChunkGradients, learning_rate: float) -> None:
    directions = ((relation.forward, gradients.forward), (relation.backward, gradients.backward))
    for parameters, gradient in directions:
        if parameters is not None and gradient is not None:
            update_parameters(parameters.values, parameters.accumulators, gradient, learning_rate)


def _keep_freed_memory() -> None:
    """Make glibc keep freed arrays for the next chunk: it gains a fifth of the speed, and changes nothing elsewhere.

    By default arrays of a chunk's size go back to the kernel as soon as they are freed, and the next chunk's arrays are
    paged in anew. The size from which glibc does so rises to that of the largest block freed so far, up to 32 MiB.
    """
    np.empty(31 << 20, np.uint8)
