"""Every model that a config can describe, each as a small run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tests.support.configs import small_config
from twhin_spark.config import Config
from twhin_spark.config.base import Measure
from twhin_spark.config.sections import Operator
from twhin_spark.config.training import RegularizationConfig
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.settings import run_settings

DIM, USERS, ITEMS, EDGES, EPOCHS = 8, 30, 40, 600, 6
LOSSES: dict[str, dict[str, Any]] = {
    "logistic": {"loss": "logistic"},
    "adversarial": {"loss": "logistic", "adversarial_temperature": 1.0},
    "softmax": {"loss": "softmax", "temperature": 0.5},
    "cosine_contrastive": {"loss": "cosine_contrastive", "margin": 0.3, "in_batch_weight": 3, "uniform_weight": 3},
}
PENALTIES = (None, *get_args(RegularizationConfig.model_fields["norm"].annotation))


@dataclass(frozen=True)
class Choice:
    """A model by the options of a config that can be combined."""

    operator: str
    comparator: str
    two_sided: bool
    loss: str
    penalty: str | None

    def __str__(self) -> str:
        sides = "two-sided" if self.two_sided else "one-sided"
        return f"{self.operator}-{self.comparator}-{sides}-{self.loss}-{self.penalty}"

    def config(self, output: Path | str = "unused") -> Config:
        relation = {"source": "user", "target": "item", "operator": self.operator, "two_sided": self.two_sided}
        regularization = self.penalty and {"norm": self.penalty, "entities": 1e-3, "relations": 1e-3}
        batches = {"batch_size": 50, "in_batch_negatives": 25, "uniform_negatives": 10}
        training = {
            "dim": DIM,
            "comparator": self.comparator,
            "regularization": regularization,
            **batches,
            **LOSSES[self.loss],
        }
        return small_config(output, relations={"like": relation}, training=training)

    def run(self, output: Path | str = "unused") -> RunSettings:
        return run_settings(self.config(output), ["like"], "run")


def choices() -> Iterator[Choice]:
    sidedness = (False, True)
    for choice in itertools.product(get_args(Operator), get_args(Measure), sidedness, LOSSES, PENALTIES):
        if choice[1] == "cosine" or choice[3] != "cosine_contrastive":
            yield Choice(*choice)
