"""The held-out loss: the loss of training, on validation edges. Runs on workers; changes nothing of the model.

Its negatives are the same after every epoch: the other edges of the batch, and uniform ones among the entities of the
excerpt. So it compares epochs and runs on one graph. It is not on the scale of the training loss, whose negatives are
drawn from all entities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from twhin_spark.kernels.model import EntityRows, Model
from twhin_spark.kernels.training_pass import TrainSettings, train_edges
from twhin_spark.training.state.relation_state import RelationState, to_kernel
from twhin_spark.training.validation.model_excerpt import ModelExcerpt, ValidationEdges


def held_out_loss(
    edges: ValidationEdges,
    excerpt: ModelExcerpt,
    relation_states: Mapping[str, RelationState],
    settings: TrainSettings,
    seed: int,
) -> dict[str, float]:
    """Measure the loss of the validation edges.

    Parameters
    ----------
    edges
        The validation edges.
    excerpt
        The vectors of their ends and of the uniform negatives.
    relation_states
        The parameters of the relations, by name.
    settings
        The settings of training, of which the learning rates are not used.
    seed
        The run's seed, by which the edges are dealt into batches.

    Returns
    -------
    dict
        By relation, the sum over its validation edges; all are infinite if any loss is not finite.
    """
    entities = {
        name: EntityRows(vectors.copy(), np.zeros(len(vectors), np.float32))
        for name, vectors in excerpt.vectors.items()
    }
    numbers = edges.relation_numbers
    relations = {i: to_kernel(edges.relations[i], relation_states[edges.relations[i].name]) for i in numbers}
    without_steps = replace(settings, entity_learning_rate=0.0, relation_learning_rate=0.0)
    rng = np.random.default_rng((seed, len(edges)))
    result = train_edges(Model(entities, relations), excerpt.edges(edges), without_steps, rng)
    if result.non_finite is not None:
        return {edges.relations[i].name: math.inf for i in numbers}
    return {edges.relations[i].name: loss for i, loss in sorted(result.loss.items())}
