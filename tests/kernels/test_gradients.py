"""Loss of a chunk against its formula in slow Python, and its gradients against finite differences."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.reference_loss import Gradients, Inputs, corruptions, finite_differences, several_chunks, slow_loss
from twhin_spark.kernels.gradients import LossSettings
from twhin_spark.kernels.losses import CosineContrastive, Logistic, Loss, Softmax
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.regularization import Penalty
from twhin_spark.kernels.similarity import COMPARATORS

LOSSES: list[Loss] = [Logistic(), Softmax(), Softmax(temperature=0.3), CosineContrastive(margin=0.2)]
ADVERSARIAL = Logistic(adversarial_temperature=1.7)
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=str)
each_loss_and_adversarial = pytest.mark.parametrize("loss", [*LOSSES, ADVERSARIAL], ids=str)
each_comparator = pytest.mark.parametrize("comparator", COMPARATORS)
each_operator = pytest.mark.parametrize("operator", OPERATORS)
each_sidedness = pytest.mark.parametrize("two_sided", [False, True], ids=["one-sided", "two-sided"])


@each_sidedness
@each_comparator
@each_operator
@each_loss_and_adversarial
def test_loss_is_the_formula(loss: Loss, operator: str, comparator: str, two_sided: bool) -> None:
    for seed in range(3):
        inputs = Inputs.random(loss, operator, two_sided, seed=seed, comparator=comparator)
        assert inputs.gradients().loss == pytest.approx(slow_loss(inputs), rel=1e-10)


@each_sidedness
@each_loss
def test_negatives_are_divided_by_their_expected_weight(loss: Loss, two_sided: bool) -> None:
    inputs = Inputs.random(loss, "translation", two_sided)
    undivided = inputs.gradients().loss
    inputs.source_expected, inputs.target_expected = np.random.default_rng(1).uniform(0.1, 3.0, (2, 9))
    assert inputs.gradients().loss == pytest.approx(slow_loss(inputs), rel=1e-10)
    assert inputs.gradients().loss != pytest.approx(undivided, rel=1e-3)
    for name in ("source", "target", "forward"):
        expected = finite_differences(inputs, getattr(inputs, name))
        np.testing.assert_allclose(getattr(inputs.gradients(), name), expected, rtol=1e-6, atol=1e-8, err_msg=name)


@settings(max_examples=100, deadline=None)
# This shape makes arrays that are contiguous in either order of their axes.
@example(loss=Softmax(), two_sided=False, edges=2, uniform=1, distinct=1, seed=0)
@given(
    loss=st.sampled_from([*LOSSES, ADVERSARIAL]),
    two_sided=st.booleans(),
    edges=st.integers(1, 7),
    uniform=st.integers(0, 5),
    distinct=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_loss_is_the_formula_for_any_shape(
    loss: Loss, two_sided: bool, edges: int, uniform: int, distinct: int, seed: int
) -> None:
    inputs = Inputs.random(loss, "translation", two_sided, edges, uniform, seed, distinct=distinct)
    assert inputs.gradients().loss == pytest.approx(slow_loss(inputs), rel=1e-10, abs=1e-12)


@each_sidedness
@each_comparator
@each_operator
@each_loss
@pytest.mark.parametrize(("edges", "uniform"), [(5, 4), (1, 3), (3, 0), (1, 0)])
def test_gradients_are_finite_differences(
    loss: Loss, operator: str, comparator: str, two_sided: bool, edges: int, uniform: int
) -> None:
    inputs = Inputs.random(loss, operator, two_sided, edges, uniform, seed=3, comparator=comparator)
    gradients = inputs.gradients()
    names = ["source", "target", "forward"] + (["backward"] if two_sided else [])
    for name in names:
        expected = finite_differences(inputs, getattr(inputs, name))
        np.testing.assert_allclose(getattr(gradients, name), expected, rtol=1e-6, atol=1e-8, err_msg=name)


@each_sidedness
@each_comparator
@pytest.mark.parametrize(("edges", "uniform"), [(5, 4), (1, 3), (3, 0), (1, 0)])
def test_weights_by_score_are_constants_to_the_gradient(
    two_sided: bool, comparator: str, edges: int, uniform: int
) -> None:
    inputs = Inputs.random(ADVERSARIAL, "diagonal", two_sided, edges, uniform, seed=3, comparator=comparator)
    original, gradients = copy.deepcopy(inputs), inputs.gradients()
    names = ["source", "target", "forward"] + (["backward"] if two_sided else [])
    for name in names:
        expected = finite_differences(inputs, getattr(inputs, name), lambda: slow_loss(inputs, weighed=original))
        np.testing.assert_allclose(getattr(gradients, name), expected, rtol=1e-6, atol=1e-8, err_msg=name)


@each_sidedness
def test_weights_by_score_keep_their_sum(two_sided: bool) -> None:
    """As α → 0, weights are those of the plain loss; as α → ∞, the negative with the highest score has all weight."""
    inputs = Inputs.random(Logistic(), "translation", two_sided)
    plain = inputs.gradients()
    inputs.settings = replace(inputs.settings, loss=Logistic(adversarial_temperature=1e-9))
    np.testing.assert_allclose(inputs.gradients().target, plain.target, rtol=1e-6)
    inputs.settings = replace(inputs.settings, loss=Logistic(adversarial_temperature=1e6))
    expected = 0.0
    for weight, positive, negatives in corruptions(inputs):
        total, hardest = sum(w for w, _ in negatives) / len(negatives), max(f for _, f in negatives)
        expected += weight * (math.log1p(math.exp(-positive)) + total * math.log1p(math.exp(hardest)))
    assert inputs.gradients().loss == pytest.approx(expected)


@each_sidedness
@each_operator
@pytest.mark.parametrize("power", [2, 3])
def test_a_penalty_is_the_formula_and_its_gradients_finite_differences(
    operator: str, two_sided: bool, power: int
) -> None:
    inputs = Inputs.random(Softmax(), operator, two_sided)
    inputs.settings = replace(inputs.settings, penalty=Penalty(power, entities=0.3, relations=0.7))
    gradients = inputs.gradients()
    assert gradients.loss == pytest.approx(slow_loss(inputs))
    for name in ["source", "target", "forward"] + (["backward"] if two_sided else []):
        expected = finite_differences(inputs, getattr(inputs, name))
        np.testing.assert_allclose(getattr(gradients, name), expected, rtol=1e-6, atol=1e-7, err_msg=name)


@each_loss
def test_one_sided_equals_two_sided_if_both_directions_score_alike(loss: Loss) -> None:
    one_sided = Inputs.random(loss, "identity", two_sided=False).gradients()
    two_sided = Inputs.random(loss, "identity", two_sided=True).gradients()
    assert one_sided.loss == pytest.approx(two_sided.loss)
    np.testing.assert_allclose(one_sided.source, two_sided.source)
    np.testing.assert_allclose(one_sided.target, two_sided.target)


@each_sidedness
@each_loss_and_adversarial
def test_an_edge_without_negatives_has_only_the_positive_term(loss: Loss, two_sided: bool) -> None:
    inputs = Inputs.random(loss, "translation", two_sided, edges=4, uniform=3, distinct=1)
    gradients = inputs.gradients()
    if isinstance(loss, Softmax):
        assert gradients.loss == pytest.approx(0, abs=1e-12)
        assert not gradients.source.any()
    else:
        assert gradients.loss == pytest.approx(slow_loss(inputs))
    assert not gradients.source[4:].any()  # masked uniform negatives
    assert not gradients.target[4:].any()


@each_sidedness
@each_loss_and_adversarial
@pytest.mark.parametrize("kind", ["in_batch", "uniform"])
def test_negatives_of_weight_zero_have_no_effect(loss: Loss, two_sided: bool, kind: str) -> None:
    inputs = Inputs.random(loss, "translation", two_sided, distinct=50)
    weights = {"in_batch_weight": 1.0, "uniform_weight": 1.0, f"{kind}_weight": 0.0}
    inputs.settings = LossSettings(loss, **weights)
    gradients = inputs.gradients()
    assert gradients.loss == pytest.approx(slow_loss(inputs))
    assert gradients.target[5:].any() == (kind == "in_batch")


@each_sidedness
@each_loss_and_adversarial
def test_loss_is_proportional_to_the_weights(loss: Loss, two_sided: bool) -> None:
    inputs = Inputs.random(loss, "translation", two_sided)
    once = inputs.gradients()
    inputs.weights = inputs.weights * 2
    twice = inputs.gradients()
    assert twice.loss == pytest.approx(2 * once.loss)
    np.testing.assert_allclose(twice.target, 2 * once.target)


@each_sidedness
@each_operator
@each_loss_and_adversarial
@pytest.mark.parametrize("sign", [1, -1])
def test_scores_of_ten_thousand_stay_finite_in_float32(loss: Loss, operator: str, two_sided: bool, sign: int) -> None:
    inputs = Inputs.random(loss, operator, two_sided, scale=100, dtype=np.float32)
    inputs.target *= sign
    assert np.abs(inputs.source @ inputs.target.T).max() > 1e4
    gradients = inputs.gradients()
    assert np.isfinite(gradients.loss)
    assert gradients.loss > 0 or isinstance(loss, CosineContrastive)  # whose loss of large scores may be below 0
    for gradient in (gradients.source, gradients.target, gradients.forward):
        assert gradient.dtype == np.float32
        assert np.isfinite(gradient).all()


@each_sidedness
@each_comparator
@each_operator
@each_loss_and_adversarial
def test_chunks_do_not_touch_each_other(loss: Loss, operator: str, comparator: str, two_sided: bool) -> None:
    chunks = [Inputs.random(loss, operator, two_sided, seed=seed, comparator=comparator) for seed in range(3)]
    together = several_chunks(chunks)
    for number, chunk in enumerate(chunks):
        alone, member = chunk.gradients(), Gradients.of_chunk(together, number)
        assert member.loss == pytest.approx(alone.loss, rel=1e-12)
        for name in ["source", "target", "forward"] + (["backward"] if two_sided else []):
            np.testing.assert_allclose(getattr(member, name), getattr(alone, name), rtol=1e-9, atol=1e-12)


@each_sidedness
@each_comparator
@each_operator
@each_loss_and_adversarial
def test_filling_up_a_chunk_changes_nothing(loss: Loss, operator: str, comparator: str, two_sided: bool) -> None:
    edges, filled = 5, 8
    chunk = Inputs.random(loss, operator, two_sided, edges=edges, uniform=4, comparator=comparator)
    alone = chunk.gradients()
    rows = np.concatenate([np.minimum(np.arange(filled), edges - 1), np.arange(edges, edges + 4)])
    for name in ("source", "target", "source_ids", "target_ids"):
        setattr(chunk, name, getattr(chunk, name)[rows])
    chunk.weights = np.append(chunk.weights, np.zeros(filled - edges))
    padded = chunk.gradients()
    assert padded.loss == pytest.approx(alone.loss, rel=1e-12)
    for name in ("source", "target"):
        gradients = getattr(padded, name)
        assert not gradients[edges:filled].any()
        kept = np.concatenate([gradients[:edges], gradients[filled:]])
        np.testing.assert_allclose(kept, getattr(alone, name), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(padded.forward, alone.forward, rtol=1e-9, atol=1e-12)


@each_sidedness
@each_loss
def test_scaling_every_vector_leaves_a_cosine_as_it_is(loss: Loss, two_sided: bool) -> None:
    inputs = Inputs.random(loss, "diagonal", two_sided, comparator="cosine")
    before = inputs.gradients()
    inputs.source, inputs.target = inputs.source * 1e6, inputs.target * 1e-3
    after = inputs.gradients()
    assert after.loss == pytest.approx(before.loss)
    np.testing.assert_allclose(after.source * 1e6, before.source, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(after.target * 1e-3, before.target, rtol=1e-8, atol=1e-12)


@each_sidedness
@each_loss_and_adversarial
def test_gradients_are_the_same_bits_whether_the_loss_is_measured_or_not(loss: Loss, two_sided: bool) -> None:
    chunk = Inputs.random(loss, "translation", two_sided, dtype=np.float32)
    measured, not_measured = several_chunks([chunk]), several_chunks([chunk], measure=False)
    for name in ("source", "target", "forward"):
        np.testing.assert_array_equal(getattr(measured, name), getattr(not_measured, name))
