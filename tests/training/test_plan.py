from __future__ import annotations

import pytest

from twhin_spark.errors import ConfigError
from twhin_spark.training.plan import resolve_plan


def _groups(entities: int = 1000, slots: int = 2, partitions: int = 64, memory: float = 1.0) -> int:
    plan = resolve_plan(
        entities=entities, dim=127, partitions=partitions, slots=slots, task_memory_gb=memory, groups=None
    )
    assert plan.task_bytes <= memory * 1e9
    return plan.groups


def test_groups_are_twice_the_slots() -> None:
    assert _groups(slots=2) == 4
    assert _groups(slots=8) == 16


def test_a_single_slot_takes_all_at_once_if_it_fits() -> None:
    assert _groups(slots=1) == 1


def test_groups_are_raised_in_steps_until_two_fit() -> None:
    # 10M entities of 512 bytes are 5.12 GB: two of 12 groups (of 64 partitions) hold 0.96 GB, two of 8 hold 1.28.
    assert _groups(entities=10_000_000) == 12


def test_never_more_groups_than_partitions() -> None:
    assert _groups(slots=8, partitions=3) == 3


def test_a_model_that_cannot_fit_is_refused_with_the_options_to_change() -> None:
    with pytest.raises(ConfigError, match=r"task_memory_gb: found 0\.1, .* or training\.groups, or graph\.partitions"):
        _groups(entities=10_000_000, partitions=8, memory=0.1)
