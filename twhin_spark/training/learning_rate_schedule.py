"""The learning rates of each round: a schedule's factor at the round's middle."""

from __future__ import annotations

import math
from dataclasses import replace

from twhin_spark.config.training import ScheduleConfig, TrainingConfig
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.bucket_schedule import Round


def settings_at_round(settings: TrainSettings, training: TrainingConfig, this: Round, rounds: int) -> TrainSettings:
    """The settings with the learning rates of one of an epoch's `rounds`, a function of the round's place alone."""
    middle = this.epoch + (this.number + 0.5) / rounds
    return replace(
        settings,
        entity_learning_rate=training.learning_rate * factor(training.schedule, middle, training.epochs),
        relation_learning_rate=training.relation_learning_rate
        * factor(training.relation_schedule or training.schedule, middle, training.epochs),
    )


def factor(schedule: ScheduleConfig, time: float, epochs: int) -> float:
    """What the full rate is multiplied by, `time` epochs after training began, 0 <= time <= epochs.

    Linear warm-up from 0 to 1; then constant, or down to `final` in a line or along half a cosine (I. Loshchilov,
    F. Hutter, SGDR, ICLR 2017, equation 5, without restarts).
    """
    if time < schedule.warmup_epochs:
        return time / schedule.warmup_epochs
    if schedule.decay == "constant":
        return 1.0
    share = (time - schedule.warmup_epochs) / max(epochs - schedule.warmup_epochs, 1e-9)  # of the decay that is over
    left = 1 - share if schedule.decay == "linear" else (1 + math.cos(math.pi * share)) / 2
    return schedule.final + (1 - schedule.final) * left
