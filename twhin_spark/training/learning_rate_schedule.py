"""The learning-rate schedule: each round trains with the rates at its middle."""

from __future__ import annotations

import math
from dataclasses import replace

from twhin_spark.config.training import ScheduleConfig, TrainingConfig
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.bucket_schedule import Round


def settings_at_round(
    settings: TrainSettings, training: TrainingConfig, training_round: Round, rounds: int
) -> TrainSettings:
    """Return the settings with the learning rates of a round, which depend on its number alone.

    `rounds` is the number of rounds of an epoch.
    """
    middle = training_round.epoch + (training_round.number + 0.5) / rounds
    return replace(
        settings,
        entity_learning_rate=training.learning_rate * rate_factor(training.schedule, middle, training.epochs),
        relation_learning_rate=training.relation_learning_rate
        * rate_factor(training.relation_schedule or training.schedule, middle, training.epochs),
    )


def rate_factor(schedule: ScheduleConfig, time: float, epochs: int) -> float:
    """Return the factor on the learning rate, `time` epochs after training began; 0 <= time <= epochs.

    The factor rises linearly from 0 to 1 during warm-up. Then it is constant, or falls to `final` in a line or along
    half a cosine (I. Loshchilov, F. Hutter, SGDR, ICLR 2017, equation 5, without restarts).
    """
    if time < schedule.warmup_epochs:
        return time / schedule.warmup_epochs
    if schedule.decay == "constant":
        return 1.0
    share = (time - schedule.warmup_epochs) / max(epochs - schedule.warmup_epochs, 1e-9)  # of the decay that is over
    left = 1 - share if schedule.decay == "linear" else (1 + math.cos(math.pi * share)) / 2
    return schedule.final + (1 - schedule.final) * left
