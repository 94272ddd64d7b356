"""A config of users who follow users, and trainings of it that stop in the middle."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.configs import csv_log, write_config
from twhin_spark.config import Config
from twhin_spark.training import train as training
from twhin_spark.training import trainer
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder

EACH_ROUND = {"commit_seconds": 1e-6}  # of training: a commit after each round


class StopError(Exception):
    """The end of a training in the middle of an epoch."""


def write_follow_config(folder: Path, pairs: Iterable[tuple[int, int]], **sections: Any) -> Path:
    """Write `config.yaml` and the log `a.csv` of pairs (source, target); `sections` replace those of the config."""
    (folder / "a.csv").write_text("s,t\n" + "".join(f"u{s},u{t}\n" for s, t in pairs))
    defaults = {
        "name": "small",
        "entity_types": ["user"],
        "relations": {"follow": {"source": "user", "target": "user"}},
        "logs": {"a": csv_log(folder / "a.csv", "follow", "s", "t")},
        "split": {"by": "fraction", "test": 0.1, "validation": 0},
        "graph": {"partitions": 8},
        "training": {"dim": 8, "epochs": 2, "batch_size": 16, "uniform_negatives": 4, "groups": 4, **EACH_ROUND},
    }
    return write_config(folder, **{**defaults, **sections})


def random_pairs(users: int, count: int) -> list[tuple[int, int]]:
    """Return pairs of users, always the same."""
    return [(int(s), int(t)) for s, t in np.random.default_rng(0).integers(users, size=(count, 2))]


def train_and_stop(spark: SparkSession, config: Config, rounds: int) -> None:
    """Train some rounds of a run, then stop as by a crash."""
    left = [rounds]
    run_rounds = trainer.run_rounds  # type: ignore[attr-defined]

    def run_some(*args: Any) -> Any:
        if not left[0]:
            raise StopError
        left[0] -= 1
        return run_rounds(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "run_rounds", run_some)
        with pytest.raises(StopError):
            training.train(spark, config, print)


def folder_of(config: Config, manifest: Manifest) -> RunFolder:
    """Return the folder of a run in the config's output."""
    return RunFolder(config.output, manifest.run_id)
