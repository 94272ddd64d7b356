"""The parts of the config that the tasks of a run need."""

from __future__ import annotations

from collections.abc import Iterable

from twhin_spark.config import Config
from twhin_spark.config.training import TrainingConfig
from twhin_spark.kernels.gradients import LossSettings
from twhin_spark.kernels.losses import CosineContrastive, Logistic, Loss, Softmax
from twhin_spark.kernels.regularization import Penalty
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.relation_state import RelationSettings


def run_settings(config: Config, relations: Iterable[str], run_id: str) -> RunSettings:
    """Return the settings of a run. `relations` are the names of its relations, by their index in `edge_buckets`."""
    return RunSettings(
        output=config.output,
        run_id=run_id,
        seed=config.training.seed,
        entity_types=tuple(config.entity_types),
        relations=tuple(relation_settings(config, name) for name in relations),
        train=train_settings(config),
        frozen=frozenset(config.training.start.freeze.entity_types) if config.training.start else frozenset(),
    )


def relation_settings(config: Config, name: str) -> RelationSettings:
    """Return the settings of one of the config's relations."""
    relation = config.relations[name]
    return RelationSettings(
        name,
        relation.source,
        relation.target,
        relation.operator,
        relation.weight,
        relation.two_sided,
        relation.sampling,
        frozen=config.training.start is not None and name in config.training.start.freeze.relations,
    )


def train_settings(config: Config) -> TrainSettings:
    """Return the settings of the kernels."""
    training = config.training
    penalty = training.regularization
    loss = LossSettings(
        _loss(training),
        training.in_batch_weight,
        training.uniform_weight,
        training.loss == "softmax" if training.logq is None else training.logq,
        None if penalty is None else Penalty({"l2": 2, "n3": 3}[penalty.norm], penalty.entities, penalty.relations),
        training.comparator,
    )
    return TrainSettings(
        loss,
        training.batch_size,
        training.in_batch_negatives or training.batch_size,
        training.uniform_negatives,
        training.learning_rate,
        training.relation_learning_rate,
        cross_negatives=config.graph.self_loops == "keep",
        max_norm=training.max_norm,
    )


def _loss(training: TrainingConfig) -> Loss:
    if training.loss == "softmax":
        return Softmax(training.temperature)
    if training.loss == "cosine_contrastive":
        return CosineContrastive(training.margin)
    return Logistic(training.adversarial_temperature)
