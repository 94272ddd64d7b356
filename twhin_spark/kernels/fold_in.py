"""Fold-in: vectors for new entities from their edges to known ones, by the model's own loss with all else fixed."""

from collections.abc import Mapping

import numpy as np

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.model import Edges, EntityRows, Model, RelationModel
from twhin_spark.kernels.training_pass import TrainSettings, train_edges

EPOCHS = 20  # a pass over the few edges of new entities costs little


def fold_in(
    first: Mapping[str, Floats],
    known: Mapping[str, Floats],
    relations: Mapping[int, RelationModel],
    edges: Edges,
    settings: TrainSettings,
    rng: np.random.Generator,
    *,
    epochs: int = EPOCHS,
) -> dict[str, Floats]:
    """Return vectors of new entities.

    Parameters
    ----------
    first
        First vectors of the new entities by type, float32 (n, dim): those that `epochs` passes start from.
    known
        Vectors of known entities by type, (m, dim): the neighbours, and others that serve as negatives.
    relations
        Relations by number. They are not changed.
    edges
        Edges between new and known entities. Rows of a type count its new entities first, then the known ones.
    settings
        Those of the model's training.
    rng
        Generator of batches and negatives. Equal generators give equal bits.
    epochs
        Number of passes over the edges.
    """
    entities = {}
    for name in sorted({*first, *known}):
        parts = [vectors[name] for vectors in (first, known) if name in vectors]
        vectors = np.concatenate(parts).astype(np.float32)  # a copy
        trained = len(first[name]) if name in first else 0
        entities[name] = EntityRows(vectors, np.zeros(len(vectors), np.float32), trained=trained)
    frozen = {number: _frozen(relation) for number, relation in relations.items()}
    for _ in range(epochs):
        train_edges(Model(entities, frozen), edges, settings, rng)
    return {name: entities[name].vectors[: len(vectors)] for name, vectors in first.items()}


def _frozen(relation: RelationModel) -> RelationModel:
    return RelationModel(
        relation.source_type,
        relation.target_type,
        relation.operator,
        relation.weight,
        relation.forward,
        relation.backward,
        frozen=True,
    )
