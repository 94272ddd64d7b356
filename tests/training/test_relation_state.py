from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from twhin_spark.training.state.relation_state import (
    RelationSettings,
    RelationState,
    from_kernel,
    initial_state,
    merge,
    to_kernel,
)

SETTINGS = RelationSettings("follow", "user", "user", "translation", 1.0, two_sided=True)


def _state(parameter: float, accumulator: float) -> RelationState:
    return RelationState({"target": [parameter]}, {"target": [accumulator]})


def test_parameters_move_by_the_edge_weighted_mean_and_accumulators_by_the_sum() -> None:
    merged = merge(_state(1.0, 10.0), [(300, _state(2.0, 11.0)), (100, _state(5.0, 14.0))])
    assert merged == _state(1.0 + 0.75 * 1.0 + 0.25 * 4.0, 10.0 + 1.0 + 4.0)


def test_one_task_alone_is_taken_as_it_is() -> None:
    after = _state(float(np.float32(0.1)), float(np.float32(0.3)))
    assert merge(_state(0.7, 0.1), [(5, after)]) == after


@pytest.mark.parametrize("operator", ["identity", "translation", "diagonal", "complex"])
def test_a_state_goes_through_json_and_the_kernels_to_the_last_bit(operator: str) -> None:
    settings = RelationSettings("r", "user", "tweet", operator, 2.0, two_sided=True)
    relation = to_kernel(settings, initial_state(settings, 4))
    assert relation.backward is not None
    rng = np.random.default_rng(0)
    for parameters in (relation.forward, relation.backward):
        parameters.values += rng.normal(size=parameters.values.shape).astype(np.float32)
    again = RelationState(**json.loads(json.dumps(asdict(from_kernel(relation)))))
    np.testing.assert_array_equal(to_kernel(settings, again).forward.values, relation.forward.values)
    np.testing.assert_array_equal(to_kernel(settings, again).backward.values, relation.backward.values)  # type: ignore[union-attr]
