from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.toy_graph import run_settings
from twhin_spark.config.training import ScheduleConfig, TrainingConfig
from twhin_spark.training.bucket_schedule import rounds_of_epoch
from twhin_spark.training.learning_rate_schedule import rate_factor, settings_at_round

EPOCHS = 10


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({}, [1, 1, 1, 1]),
        ({"decay": "linear"}, [1, 0.75, 0.5, 0]),
        ({"decay": "cosine"}, [1, (1 + np.cos(np.pi / 4)) / 2, 0.5, 0]),
        ({"decay": "linear", "final": 0.2}, [1, 0.8, 0.6, 0.2]),
        ({"decay": "cosine", "final": 1}, [1, 1, 1, 1]),
        ({"warmup_epochs": 5}, [0, 0.5, 1, 1]),
        ({"warmup_epochs": 2, "decay": "linear"}, [0, 7.5 / 8, 5 / 8, 0]),
        ({"warmup_epochs": 10, "decay": "linear"}, [0, 0.25, 0.5, 1]),
    ],
)
def test_factors_by_hand(schedule: dict[str, Any], expected: list[float]) -> None:
    times = (0, 2.5, 5, 10)
    np.testing.assert_allclose(
        [rate_factor(ScheduleConfig(**schedule), time, EPOCHS) for time in times], expected, atol=1e-12
    )


@given(
    decay=st.sampled_from(["constant", "linear", "cosine"]),
    warmup=st.floats(0, EPOCHS),
    final=st.floats(0, 1),
    times=st.lists(st.floats(0, EPOCHS), min_size=2, max_size=2),
)
def test_a_factor_rises_in_the_warm_up_and_never_after(
    decay: Any, warmup: float, final: float, times: list[float]
) -> None:
    schedule = ScheduleConfig(decay=decay, warmup_epochs=warmup, final=final)
    early, late = sorted(times)
    before, after = rate_factor(schedule, early, EPOCHS), rate_factor(schedule, late, EPOCHS)
    assert 0 <= before <= 1
    if late < warmup:
        assert before <= after
    elif early >= warmup:
        assert before >= after - 1e-12


def test_a_round_takes_the_rates_at_its_middle() -> None:
    training = TrainingConfig.model_validate(
        {
            "epochs": 2,
            "learning_rate": 0.8,
            "relation_learning_rate": 0.4,
            "schedule": {"decay": "linear"},
            "relation_schedule": {"warmup_epochs": 1},
        }
    )
    settings = run_settings("unused").train
    rounds = [training_round for epoch in range(2) for training_round in rounds_of_epoch(8, 4, seats=2, epoch=epoch)]
    by_round = [settings_at_round(settings, training, training_round, 4) for training_round in rounds]
    entity, relation = zip(*[(s.entity_learning_rate, s.relation_learning_rate) for s in by_round], strict=True)
    np.testing.assert_allclose(entity, 0.8 * (15 - 2 * np.arange(8)) / 16)
    np.testing.assert_allclose(relation, 0.4 * np.array([1, 3, 5, 7, 8, 8, 8, 8]) / 8)
