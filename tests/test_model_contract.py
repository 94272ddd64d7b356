"""Contract of every model that a config can choose: gradients, a falling loss, ranks, state that can be stored."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.support.model_choices import DIM, EDGES, EPOCHS, ITEMS, USERS, Choice, choices
from tests.support.reference_loss import Inputs, finite_differences, slow_loss
from twhin_spark.kernels.initial_vectors import initial_vectors
from twhin_spark.kernels.model import Edges, EntityRows, Model
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.topk import comparison_vectors
from twhin_spark.kernels.training_pass import train_edges
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import from_kernel, initial_state, to_kernel
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState

each_choice = pytest.mark.parametrize("choice", list(choices()), ids=str)


@each_choice
def test_gradients_are_those_of_the_formula(choice: Choice) -> None:
    settings = choice.run().train.loss
    inputs = Inputs.random(settings.loss, choice.operator, choice.two_sided, edges=2, uniform=1, seed=1)
    inputs.settings = settings
    original, gradients = copy.deepcopy(inputs), inputs.gradients()
    assert gradients.loss == pytest.approx(slow_loss(inputs))
    for name in ["source", "target", "forward"] + (["backward"] if choice.two_sided else []):
        expected = finite_differences(inputs, getattr(inputs, name), lambda: slow_loss(inputs, weighed=original))
        np.testing.assert_allclose(getattr(gradients, name), expected, rtol=1e-6, atol=1e-8, err_msg=name)


@each_choice
def test_the_loss_falls_planted_edges_rank_first_and_state_can_be_stored(choice: Choice, tmp_path: Path) -> None:
    run = choice.run(str(tmp_path))
    (relation,) = run.relations
    rng = np.random.default_rng(0)
    model = Model(
        {
            "user": EntityRows(initial_vectors(np.arange(USERS), DIM, 0.1, 0), np.zeros(USERS, np.float32)),
            "item": EntityRows(initial_vectors(np.arange(ITEMS), DIM, 0.1, 1), np.zeros(ITEMS, np.float32)),
        },
        {0: to_kernel(relation, initial_state(relation, DIM))},
    )
    source = rng.integers(USERS, size=EDGES, dtype=np.int32)
    target = (2 * rng.integers(ITEMS // 2, size=EDGES) + source % 2).astype(np.int32)  # an item of the user's half
    edges = Edges(source, target, np.zeros(EDGES, np.int16), np.ones(EDGES, np.float32))
    passes = [train_edges(model, edges, run.train, rng) for _ in range(EPOCHS)]
    assert all(result.edges == {0: EDGES} and result.non_finite is None for result in passes)
    assert passes[-1].loss[0] < 0.97 * passes[0].loss[0]

    loaded = stored_and_loaded(run, model)
    for side, scores in scores_of(choice, loaded).items():
        assert ordered_share(scores) > 0.93, side
    np.testing.assert_array_equal(scores_of(choice, loaded)["target"], scores_of(choice, model)["target"])
    results = [train_edges(state, edges, run.train, np.random.default_rng(7)) for state in (model, loaded)]
    assert results[0] == results[1]  # accumulators are stored, too


def stored_and_loaded(run: RunSettings, model: Model) -> Model:
    """Write a model as a task does, commit it, and read it again."""
    folder = RunFolder(run.output, run.run_id)
    state = {name: EntityState(rows.vectors, rows.accumulators) for name, rows in model.entities.items()}
    file = folder.write_partition("p0", {name: state[name] for name in run.entity_types})
    states = {settings.name: from_kernel(model.relations[i]) for i, settings in enumerate(run.relations)}
    folder.commit(Manifest(run.run_id, 1, 0, 0, True, 1, [file], states, "cpu"))
    latest = folder.latest()
    assert latest is not None
    entities = folder.read_partition(latest.partitions[0], run.entity_types)
    relations = {i: to_kernel(settings, latest.relations[settings.name]) for i, settings in enumerate(run.relations)}
    return Model({name: EntityRows(state.vectors, state.accumulators) for name, state in entities.items()}, relations)


def scores_of(choice: Choice, model: Model) -> Mapping[str, np.ndarray]:
    """Return the scores that rank targets, (USERS, ITEMS), and those that rank sources, if they differ."""
    relation, operator = model.relations[0], OPERATORS[choice.operator]
    users, items = model.entities["user"].vectors, model.entities["item"].vectors

    def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return comparison_vectors(left, choice.comparator) @ comparison_vectors(right, choice.comparator).T

    scores = {"target": product(operator.apply(relation.forward.values, users), items)}
    if relation.backward is not None:
        scores["source"] = product(users, operator.apply(relation.backward.values, items))
    return scores


def ordered_share(scores: np.ndarray) -> float:
    """Return the share of triples (user, item of the same half, item of the other half) that are in this order."""
    same_half, other_half = (np.stack([row[(i + k) % 2 :: 2] for i, row in enumerate(scores)]) for k in (0, 1))
    return float((same_half[:, :, None] > other_half[:, None, :]).mean())
